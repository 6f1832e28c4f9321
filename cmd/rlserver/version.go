package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go version and platform",
		Long:    "version prints the version of this binary, the commit that it was built from if that is known,\nthe Go version and the platform.",
		Example: "  rlserver version",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

// programVersion is the version that the build set, or else the module's, which
// `go install …@v1.2.3` leaves in the binary.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "dev" &&
		info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}

// versionText has no commit when the binary was built outside of a repository.
func versionText() string {
	commit, modified := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = fmt.Sprintf(", commit %.12s", s.Value)
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " (modified)"
			}
		}
	}
	return fmt.Sprintf("rlserver %s%s%s, %s, %s/%s\n",
		programVersion(), commit, modified, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rlserver/rlserver/replication/disk"
)

const aofName = "aof"

// errDamaged is how aof says that files are damaged. That is told on stdout.
var errDamaged = errors.New("damaged")

func newAOF() *cobra.Command {
	cmd := &cobra.Command{
		Use:   aofName,
		Short: "Check and repair the files that a server keeps",
		Long: `aof looks at the files of a server's --dir: the append-only file (appendonly.*) and the snapshot
(dump.rls). A server that finds damage there does not start, and says where it is. What a crash
leaves of the last write is no damage: the next start cuts it.

Both commands exit with 0 when there is no damage, with 1 when there is, and with 2 when that
cannot be said. No server may be using the directory.`,
		Example: `  rlserver aof check /var/lib/rlserver
  rlserver aof repair /var/lib/rlserver`,
		Args:                       unknownCommand,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	repair := &cobra.Command{
		Use:   "repair DIR",
		Short: "Cut what is damaged, and keep a copy of it",
		Long: `repair tells what it would cut, and does it with --yes: an increment from the first damage on, and
those behind it, because no server ever had the state behind a gap; a base or a snapshot from the
first damage on, and then the keys behind it are as if they had never been seen. A manifest that is damaged or lost is made again from the files.

What is cut is kept beside its file, with a name that ends in .cut-from- and the byte that it began
at. Servers leave such files alone; remove them when they are not needed any more.`,
		Example: `  rlserver aof repair /var/lib/rlserver
  rlserver aof repair /var/lib/rlserver --yes`,
		Args:              oneDirectory,
		ValidArgsFunction: completeDirectory,
		RunE:              repairAOF,
	}
	repair.Flags().Bool("yes", false, "do it, and do not only tell")
	cmd.AddCommand(&cobra.Command{
		Use:   checkName + " DIR",
		Short: "Tell what each file has, and what is damaged",
		Long: `check reads every file to its end, tells what is there, and changes nothing.

Offsets are those of the stream of changes: how many bytes of it come before.`,
		Example:           `  rlserver aof check /var/lib/rlserver`,
		Args:              oneDirectory,
		ValidArgsFunction: completeDirectory,
		RunE:              checkAOF,
	}, repair)
	return cmd
}

func oneDirectory(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return usageError(cmd, "%s takes one argument, DIR, but was given %d", cmd.Name(), len(args))
}

func completeDirectory(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// isAOF says whether cmd is aof or one of its commands.
func isAOF(cmd *cobra.Command) bool {
	return cmd.Name() == aofName || cmd.HasParent() && cmd.Parent().Name() == aofName
}

func checkAOF(cmd *cobra.Command, args []string) error {
	out := cmd.OutOrStdout()
	r, err := disk.Check(args[0])
	if err != nil {
		return err
	}
	if err := printReport(out, r); err != nil {
		return err
	}
	if r.Damaged() {
		fmt.Fprintf(out, "\nDamaged: a server does not start with this. “rlserver aof repair %s” tells what can be done.\n", r.Dir)
		return errDamaged
	}
	return nil
}

func repairAOF(cmd *cobra.Command, args []string) error {
	out := cmd.OutOrStdout()
	yes, err := cmd.Flags().GetBool("yes")
	if err != nil {
		return err
	}
	work := disk.Check
	if yes {
		work = disk.Repair
	}
	r, err := work(args[0])
	if err != nil {
		return err
	}
	if err := printReport(out, r); err != nil {
		return err
	}
	if !r.Damaged() && len(r.Cuts) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	for _, c := range r.Cuts {
		fmt.Fprintln(out, cutSentence(c, yes))
	}
	if r.NewManifest {
		fmt.Fprintln(out, perhaps(yes, "The manifest has been written anew.", "The manifest would be written anew."))
	}
	if yes {
		return nil
	}
	fmt.Fprintln(out, "Nothing has been changed: --yes does this.")
	if r.Damaged() {
		return errDamaged
	}
	return nil
}

func perhaps(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// cutSentence tells of a cut, made or not.
func cutSentence(c disk.Cut, done bool) string {
	what := fmt.Sprintf("%s %s cut from byte %d on, %d bytes", c.File, perhaps(done, "was", "would be"), c.Offset, c.Bytes)
	if c.Offset == 0 {
		what = fmt.Sprintf("%s %s set aside, %d bytes", c.File, perhaps(done, "was", "would be"), c.Bytes)
	}
	if c.Copy != "" {
		what += ", kept as " + c.Copy
	}
	return what + ": " + c.Why + "."
}

// printReport prints a table of the files, and below it what is damaged.
func printReport(out io.Writer, r *disk.Report) error {
	if len(r.Files) == 0 {
		_, err := fmt.Fprintf(out, "%s has no append-only file and no snapshot.\n", r.Dir)
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FILE\tKIND\tBYTES\tFRAMES\tRECORDS\tFROM\tTO\tHISTORY\tCREATED\tSTATE")
	for _, f := range r.Files {
		state := "good"
		switch {
		case f.Torn:
			state = "torn"
		case f.Damage != nil:
			state = "DAMAGED"
		}
		if f.ID == "" {
			fmt.Fprintf(table, "%s\t%s\t%d\t-\t-\t-\t-\t-\t-\t%s\n", f.Name, f.Kind, f.Bytes, state)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.8s\t%s\t%s\n", f.Name, f.Kind, f.Bytes, f.Frames, f.Records, f.From, f.To,
			f.ID, f.Created.UTC().Format(time.RFC3339), state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, f := range r.Files {
		switch {
		case f.Torn:
			fmt.Fprintf(out, "\n%s: from byte %d on is what a crash left of the last write: %s. The next start cuts it.\n", f.Name, f.Damage.Offset, f.Damage.Problem)
		case f.Damage != nil:
			fmt.Fprintf(out, "\n%s: damaged at byte %d: %s.\n", f.Name, f.Damage.Offset, f.Damage.Problem)
		}
	}
	return nil
}

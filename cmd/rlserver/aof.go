package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rlserver/rlserver/replication/disk"
)

const aofName = "aof"

func newAOF() *cobra.Command {
	cmd := &cobra.Command{
		Use:   aofName,
		Short: "Check and repair the files that a server keeps",
		Long: `aof looks at the files of a server's --dir: the append-only file (appendonly.*) and the snapshot
(dump.rls). A server that finds damage there does not start, and says where it is. The rest that a
crash leaves of the last write is no damage: the next start cuts it.

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
		Short: "Cut the damage, and keep a copy of it",
		Long: `repair tells what it would cut, and cuts with --yes. It cuts an increment from the first damage on,
and all increments behind that one, because no server ever had the state behind a gap. It cuts a
base or a snapshot from the first damage on; the keys behind that are lost, and the policies. A
manifest that is damaged or lost is made again from the files.

Each piece that is cut is kept beside its file. Its name ends in .cut-from- and the byte that it
began at. Servers leave such files alone; remove them when they are not needed any more.`,
		Example: `  rlserver aof repair /var/lib/rlserver
  rlserver aof repair /var/lib/rlserver --yes`,
		Args:              exactly(1, "one argument, DIR"),
		ValidArgsFunction: completeDirectory,
	}
	yes := repair.Flags().Bool("yes", false, "do it, and do not only tell")
	repair.RunE = func(cmd *cobra.Command, args []string) error { return repairAOF(cmd.OutOrStdout(), args[0], *yes) }
	cmd.AddCommand(&cobra.Command{
		Use:   checkName + " DIR",
		Short: "Tell the content of each file, and the damage",
		Long: `check reads every file to its end, tells its content, and changes nothing.

Offsets are those of the stream of changes: how many bytes of it come before.`,
		Example:           `  rlserver aof check /var/lib/rlserver`,
		Args:              exactly(1, "one argument, DIR"),
		ValidArgsFunction: completeDirectory,
		RunE:              checkAOF,
	}, repair)
	return cmd
}

func completeDirectory(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func checkAOF(cmd *cobra.Command, args []string) error {
	out := cmd.OutOrStdout()
	r, err := reportOn(out, disk.Check, args[0])
	if err != nil {
		return err
	}
	if r.Damaged() {
		fmt.Fprintf(out, "\nDamaged: a server does not start with this. “rlserver aof repair %s” tells what can be done.\n", r.Dir)
		return errNo
	}
	return nil
}

func repairAOF(out io.Writer, dir string, yes bool) error {
	work, cut, written := disk.Check, "would be", "would be"
	if yes {
		work, cut, written = disk.Repair, "was", "has been"
	}
	r, err := reportOn(out, work, dir)
	if err != nil {
		return err
	}
	if !r.Damaged() && len(r.Cuts) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	for _, c := range r.Cuts {
		fmt.Fprintln(out, cutSentence(c, cut))
	}
	if r.NewManifest {
		fmt.Fprintf(out, "The manifest %s written anew.\n", written)
	}
	if yes {
		return nil
	}
	fmt.Fprintln(out, "Nothing has been changed: --yes does this.")
	if r.Damaged() {
		return errNo
	}
	return nil
}

// cutSentence tells of a cut, which “was” or “would be” made.
func cutSentence(c disk.Cut, was string) string {
	text := fmt.Sprintf("%s %s cut from byte %d on, %d bytes", c.File, was, c.Offset, c.Bytes)
	if c.Offset == 0 {
		text = fmt.Sprintf("%s %s set aside, %d bytes", c.File, was, c.Bytes)
	}
	if c.Copy != "" {
		text += ", kept as " + c.Copy
	}
	return text + ": " + c.Why + "."
}

// reportOn checks or repairs a directory. It prints a table of the files, and the damage below.
func reportOn(out io.Writer, work func(dir string) (*disk.Report, error), dir string) (*disk.Report, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	r, err := work(dir)
	if err != nil {
		return nil, err
	}
	if len(r.Files) == 0 {
		_, err := fmt.Fprintf(out, "%s has no append-only file and no snapshot.\n", r.Dir)
		return r, err
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
		return nil, err
	}
	for _, f := range r.Files {
		switch {
		case f.Torn:
			fmt.Fprintf(out, "\n%s: from byte %d on is what a crash left of the last write: %s. The next start cuts it.\n", f.Name, f.Damage.Offset, f.Damage.Problem)
		case f.Damage != nil:
			fmt.Fprintf(out, "\n%s: damaged at byte %d: %s.\n", f.Name, f.Damage.Offset, f.Damage.Problem)
		}
	}
	return r, nil
}

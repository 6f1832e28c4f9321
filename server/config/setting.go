package config

import (
	"fmt"
	"strconv"
)

// A Setting is one row of the table: a flag of the command line, an environment variable, a key
// of the configuration file and a parameter of CONFIG GET, all with the same name and syntax.
// It is bound to one configuration.
type Setting struct {
	Name    string
	Field   Field  // kind, range, and where the value goes
	Default string // as Set takes it
	Note    string // the meaning of a special value, for Accepts
	Live    bool   // can be changed by CONFIG SET
	Usage   string
	Group   Group
	Needs   []string // settings of which one must be given for this one to have an effect
}

// A Group is the subject of settings. The table is in the order of the groups.
type Group int

// The groups.
const (
	Network Group = iota
	Memory
	Logging
	Persistence
	Replication
	Backend
)

// String is the group's name, as a heading.
func (g Group) String() string {
	names := [...]string{Network: "Network", Memory: "Memory", Logging: "Logging", Persistence: "Persistence", Replication: "Replication", Backend: "Backend"}
	return names[g]
}

// In puts rows in a group.
func In(g Group, rows []Setting) []Setting {
	for i := range rows {
		rows[i].Group = g
	}
	return rows
}

// Accepts says which values are accepted, for error messages and the help.
func (s Setting) Accepts() string {
	if s.Note == "" {
		return s.Field.Accepts
	}
	return s.Field.Accepts + "; " + s.Note
}

// Set changes the setting, or returns an error that tells the accepted values.
func (s Setting) Set(value string) error {
	if !s.Field.Set(value) {
		return fmt.Errorf("%s is not accepted for %s: expected %s", strconv.Quote(value), s.Name, s.Accepts())
	}
	return nil
}

// Get is the value, in the syntax of Set.
func (s Setting) Get() string { return s.Field.Get() }

// Show is Get for the log: of a secret it says only that there is one.
func (s Setting) Show() string {
	if value := s.Get(); value == "" || !s.Field.Secret {
		return value
	}
	return "(not shown)"
}

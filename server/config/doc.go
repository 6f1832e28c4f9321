// Package config is the one table of settings: flags, environment variables, the file and the
// command CONFIG share it.
//
//	setting.go  one row: name, field, default, help
//	field.go    kinds of values: how they are written, which are accepted, where they go
//	config.go   what the server runs with, and the sections of other rooms
//	table.go    the rows of the server's own settings
//
// A row is bound to one configuration: its field is a pointer into that struct, as with
// flag.IntVar. So a new setting is one row and one field beside it, and nobody copies it from
// struct to struct. Settings that the server keeps, shows and changes, but does not use, are a
// Section: a struct of the room that uses them, with rows of its own. The command line puts the
// sections in.
//
// Nothing here reads a file, an environment or a command line, and nothing acts on a setting.
//
// # Invariants
//
//  1. A configuration in force is never changed. A change is made to a copy, which takes its
//     place as a whole.
//  2. A value that is not accepted leaves its field as it was.
//  3. What Get returns, Set accepts, and it means the same.
package config

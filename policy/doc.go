// Package policy gives limits names. A policy is a name for one or several limits of a key; all of a
// server's policies are one set with a version. The package knows how policies are written, which
// limits apply to a key, and which limits another one has replaced. It decides nothing, keeps no state
// of a key, and does no I/O.
package policy

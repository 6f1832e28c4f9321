// Package servers compares rlserver with other servers that limit rates, on the wire, by the load
// and the counts of `rlserver bench`. `make bench-peers` installs those that package registries
// have, and runs it. One that is not installed is named and left out, so `make bench-smoke` needs no
// compiler of Rust.
package servers

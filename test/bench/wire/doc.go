// Package wire measures rlserver beside a real Redis with rlserver bench, over a matrix of settings,
// and prints the tables of docs/BENCHMARKS.md. `make bench` runs it:
//
//	go test ./test/bench/wire -run '^$' -bench . -benchtime 1x
//
// Each row of the matrix is one run of the command, which has its servers for itself. So each figure
// is one that the command beside it gives. Tables stand between lines that name them, by which
// test/bench/publish puts them into the document; charts go to build/bench.
package wire

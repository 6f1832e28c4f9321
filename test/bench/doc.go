// Package bench holds what the benchmarks below this folder share: load by redis-benchmark, rounds
// that alternate, figures of processes, and tables.
//
// A benchmark compares contestants in rounds that alternate, so that a slow minute of the machine
// hits all of them. It prints medians, and medians of the ratios of single rounds. A target that
// is missed is printed as missed and fails nothing: a slow machine is not a broken program. So
// each is one Benchmark function that runs once (-benchtime 1x), and no test.
//
//   - wire: rlserver beside a real Redis, by rlserver bench (make bench)
//   - backend: decisions in Redis, through rlserver and straight (make bench-redis)
//   - durability: what the append-only file and a replica cost (make bench-durability)
//   - policies: limits by name, and very many of them (make bench-policies)
//   - engine: the engine in process beside its peers (make bench-engine), and with 5,000 callers
//     (make bench-local)
//   - servers: rlserver on the wire beside other servers that limit rates (make bench-peers)
//   - peers: the engine in process beside libraries of Go programs (make bench-peers)
//
// What they print is Markdown, which publish puts into docs/BENCHMARKS.md (make bench-docs).
//
// With -short a benchmark does a small part of its work, which shows only that it runs and that its
// counts are right: make bench-smoke, which CI runs.
package bench

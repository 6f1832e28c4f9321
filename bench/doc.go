// Package bench measures servers that decide on limits: it puts load on any server that speaks RESP,
// times each reply, and checks that no more was admitted than the limit allows. `rlserver bench` is
// its command.
//
//	result.go    what a run measured
//	judge/       whether what was admitted keeps the limit
//	report/      a report as a table, as a page, and as charts
package bench

// Package report shows what a run of package bench measured: as tables on a terminal and in Markdown,
// as a page that opens offline, as JSON, and, while the run goes on, as its progress. All of it is
// made of a bench.Report alone, so a report that was kept as JSON can be shown again.
//
// A figure of a target is the median of its rounds. A ratio is the median of the ratios to the first
// target in the same rounds: the machine changes more from round to round than within one, so this
// says more than a ratio of medians.
//
//	figures.go    the figures of a round, medians and ratios; numbers.go writes them
//	tables.go     the tables, before they have a form; text.go and page.go give them one
//	remarks.go    what a reader must not overlook: violations, failures, a client that was too slow
//	curves.go     the charts of a report, which package chart draws
//	progress.go   the bar, or lines
package report

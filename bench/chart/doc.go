// Package chart draws lines, bars and timelines as SVG: for a page that shows them in its own colours, and as
// files of their own. It knows nothing of benchmarks.
//
// A chart has no colours in it, only classes. Style says what they look like on light and on dark
// ground, so one drawing serves both. It has no script: a point tells its figures in a title, which
// browsers show under the pointer.
package chart

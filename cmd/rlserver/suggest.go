package main

import "slices"

// nearest is the known name that a misspelt one was probably meant to be, or "".
func nearest(name string, known []string) string {
	distance := func(a, b string) int { return editDistance(name, a) - editDistance(name, b) }
	near := slices.MinFunc(known, distance)
	if editDistance(name, near) > max(2, len(name)/3) {
		return ""
	}
	return near
}

// editDistance is how many bytes must be inserted, removed or replaced to make b of a
// (Levenshtein), computed row by row.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0] // the distance of a[:i] and b[:j]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package policy

// Nearest is the known name that a misspelt one was probably meant to be, or "".
func Nearest(name string, known []string) string {
	nearest, least := "", nearEnd(name)
	for _, k := range known {
		if d := editDistance(name, k, least); d < least {
			nearest, least = k, d
		}
	}
	return nearest
}

// nearEnd is the distance from which on a name is not near another: a third of its length, or 2, but at
// most a half.
func nearEnd(name string) int { return min(max(2, len(name)/3), len(name)/2) + 1 }

// editDistance is how many bytes must be inserted, removed or replaced to make b of a (Levenshtein),
// computed row by row. From end on it is end: most names are far apart, which the first rows tell.
func editDistance(a, b string, end int) int {
	if max(len(a), len(b))-min(len(a), len(b)) >= end {
		return end
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0] // the distance of a[:i] and b[:j]
		row[0] = i + 1
		least := row[0]
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
			least = min(least, row[j+1])
		}
		if least >= end {
			return end
		}
	}
	return min(row[len(b)], end)
}

// Command publish puts what benchmarks printed into docs/BENCHMARKS.md, so that no figure there is
// typed by hand. `make bench-docs` runs it.
//
// Each file build/bench/NAME.md is what `make NAME` printed. The document has blocks between the
// lines <!-- begin NAME --> and <!-- end NAME -->, and each takes what was printed under its name: a
// block between the same lines in one of the files, or else a whole file. A block for which nothing
// was printed stays as it is. Pictures in build/bench go to docs/bench.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	printed  = "build/bench"
	document = "docs/BENCHMARKS.md"
	pictures = "docs/bench"
)

// block is a part between lines that name it.
var block = regexp.MustCompile(`(?s)<!-- begin ([a-z0-9-]+) -->\n(.*?)<!-- end ([a-z0-9-]+) -->`)

// noise is what go test prints besides, and blank lines in a row.
var (
	noise  = regexp.MustCompile(`(?m)^(goos: .*|goarch: .*|pkg: .*|cpu: .*|Benchmark\S* *\t.*|Benchmark[A-Za-z]+ *|PASS|FAIL|ok  \t.*|\?   \t.*|--- BENCH: .*|    \S+\.go:\d+: .*)\n`)
	blanks = regexp.MustCompile(`\n{3,}`)
)

func main() {
	if err := publish(); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func publish() error {
	parts, err := read()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	filled, kept := fill(string(text), parts)
	fmt.Printf("%s: %d blocks are new\n", document, len(block.FindAllString(filled, -1))-len(kept))
	if len(kept) > 0 {
		fmt.Printf("nothing was printed for: %s\n", strings.Join(kept, ", "))
	}
	if err := os.WriteFile(document, []byte(filled), 0o644); err != nil {
		return err
	}
	return copyPictures()
}

// read returns what was printed, by name.
func read() (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(printed, "*.md"))
	if err != nil {
		return nil, err
	}
	parts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		clean := blanks.ReplaceAllString(noise.ReplaceAllString(string(text), ""), "\n\n")
		for _, b := range block.FindAllStringSubmatch(clean, -1) {
			parts[b[1]] = b[2]
		}
		parts[strings.TrimSuffix(filepath.Base(file), ".md")] = clean
	}
	return parts, nil
}

// fill puts the parts into the blocks that have their names, and returns the names of the others.
func fill(text string, parts map[string]string) (filled string, kept []string) {
	filled = block.ReplaceAllStringFunc(text, func(old string) string {
		name := block.FindStringSubmatch(old)[1]
		part, found := parts[name]
		if !found {
			kept = append(kept, name)
			return old
		}
		return fmt.Sprintf("<!-- begin %s -->\n\n%s\n\n<!-- end %s -->", name, strings.TrimSpace(part), name)
	})
	slices.Sort(kept)
	return filled, kept
}

func copyPictures() error {
	files, err := filepath.Glob(filepath.Join(printed, "*.[sp][vn]g"))
	if err != nil || len(files) == 0 {
		return err
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		picture, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(pictures, filepath.Base(file)), picture, 0o644); err != nil {
			return err
		}
	}
	return nil
}

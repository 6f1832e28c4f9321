package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The YAML library has its own ideas of a line in its errors: for a problem inside of a
// block it names the line where the block began, unless that is the first; the parser counts
// lines from 0 and the scanner from 1; and of the first line nothing is said at all.
var (
	yamlErrorLine = regexp.MustCompile(`^line (\d+): (.*)$`)
	// Problems that the parser finds. All others with a line are the scanner's.
	yamlParserProblem = regexp.MustCompile(`^did not find expected (node content|key|',' or|'-' indicator|<)`)
	// Problems that never come with a line.
	yamlNoLine = regexp.MustCompile(`control characters|UTF-|Unicode|surrogate|anchor`)
)

// syntaxError says what is wrong with content that is not YAML, and in which line. It reads
// the content once more without the blank lines and comments at the head, so that the
// mapping, which is the block, begins in the first line.
func (f configFile) syntaxError(content []byte) error {
	skipped := 0
	for isHead(content) {
		_, content, _ = bytes.Cut(content, []byte("\n"))
		skipped++
	}
	var err error
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); err == nil; { // it ends with io.EOF at the latest
		err = decoder.Decode(new(yaml.Node))
	}
	problem, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if at := yamlErrorLine.FindStringSubmatch(problem); at != nil {
		line, _ = strconv.Atoi(at[1])
		problem = at[2]
		if yamlParserProblem.MatchString(problem) {
			line++
		}
	} else if yamlNoLine.MatchString(problem) {
		return fmt.Errorf("%s: not YAML: %s", f.path, problem)
	}
	return fmt.Errorf("%s:%d: not YAML: %s", f.path, skipped+line, problem)
}

// isHead says whether the first line is blank, a comment or the mark of a document's start.
func isHead(content []byte) bool {
	line, _, more := bytes.Cut(content, []byte("\n"))
	line = bytes.TrimSpace(line)
	return more && (len(line) == 0 || line[0] == '#' || string(line) == "---")
}

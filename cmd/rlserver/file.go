package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/config"
)

// configBytesMax is the most that a configuration file may have. 10,000 policies and 100,000 overrides
// of two limits take 9 MB; it is there so that a wrong path does not fill the memory.
const configBytesMax = 32 << 20

// A configFile is a mapping in YAML: setting: value, and policies. Values are read as they are
// written: a password may be 0123 or yes.
type configFile struct {
	path   string // empty: no file
	origin string // --config or RLSERVER_CONFIG
}

// contents are what a configuration file says.
type contents struct {
	document *yaml.Node
	settings []assignment // in the order of the file
	policies *yaml.Node   // not looked at yet; nil: there are none
}

// contents reads the file. Errors name it and the line.
func (f configFile) contents() (c contents, err error) {
	if f.path == "" {
		return c, nil
	}
	content, err := f.read()
	if err != nil {
		return c, err
	}
	return f.parse(content)
}

// parse reads the one YAML document in content.
func (f configFile) parse(content []byte) (c contents, err error) {
	c.document, err = f.document(content)
	if err != nil {
		return c, err
	}
	seen := map[string]int{} // setting → line
	for pair := range slices.Chunk(c.document.Content[0].Content, 2) {
		key, value := pair[0], pair[1]
		row, known := config.Find(table, key.Value)
		if isPolicies(key) {
			row.Name, known = policiesKey, true
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			return c, f.errorAt(key, "expected the name of a setting; see rlserver serve --help")
		case !known:
			return c, f.errorAt(key, "%s", unknownSetting(key.Value))
		case seen[row.Name] != 0:
			return c, f.errorAt(key, "%s is set twice, first in line %d", row.Name, seen[row.Name])
		}
		seen[row.Name] = key.Line
		if isPolicies(key) {
			c.policies = value
			continue
		}
		text, err := f.value(row, value)
		if err != nil {
			return c, err
		}
		c.settings = append(c.settings, assignment{row.Name, text, fmt.Sprintf("%s:%d", f.path, value.Line)})
	}
	return c, nil
}

func isPolicies(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && strings.EqualFold(key.Value, policiesKey)
}

// document is the YAML document in content, with a mapping in it. A mapping stands for null as
// well, and for a file without settings.
func (f configFile) document(content []byte) (*yaml.Node, error) {
	var first, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	err := decoder.Decode(&first)
	if err == nil {
		err = decoder.Decode(&second)
	}
	switch {
	case err == nil:
		return nil, f.errorAt(&second, "a second YAML document; expected one mapping of settings, name: value")
	case !errors.Is(err, io.EOF):
		return nil, f.syntaxError(content, err)
	case len(first.Content) == 0 || isNull(first.Content[0]):
		first.Kind, first.Content = yaml.DocumentNode, []*yaml.Node{{Kind: yaml.MappingNode}}
	case first.Content[0].Kind != yaml.MappingNode:
		return nil, f.errorAt(first.Content[0], "expected settings, one a line, name: value; see rlserver serve --help")
	}
	return &first, nil
}

// value is the text of a setting's value. A list is accepted for a setting that has several
// values.
func (f configFile) value(row config.Setting, node *yaml.Node) (string, error) {
	switch {
	case isNull(node):
		return "", nil
	case isPlain(node):
		return node.Value, nil
	case node.Kind == yaml.SequenceNode && row.Field.List:
		var items []string
		for _, item := range node.Content {
			if !isPlain(item) || isNull(item) {
				return "", f.errorAt(item, "each item of %s must be a plain value: expected %s", row.Name, row.Accepts())
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, " "), nil
	}
	return "", f.errorAt(node, "%s must be one plain value, not %s: expected %s", row.Name, kindText(node), row.Accepts())
}

func unknownSetting(name string) string {
	known := append(settingNames(), policiesKey)
	if near := policy.Nearest(name, known); near != "" {
		return fmt.Sprintf("unknown setting %q: did you mean %s? See rlserver serve --help for all of them", name, near)
	}
	return fmt.Sprintf("unknown setting %q: expected one of %s", name, strings.Join(known, ", "))
}

// isPlain is true for a value without a tag of its own: tags such as !!binary and !secret mean
// nothing here.
func isPlain(node *yaml.Node) bool {
	tags := []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp"}
	return node.Kind == yaml.ScalarNode && slices.Contains(tags, node.ShortTag())
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// syntaxError is about content that is not YAML. It names the problem and the line.
func (f configFile) syntaxError(content []byte, err error) error {
	var problem *yaml.LoadError
	if !errors.As(err, &problem) || problem.Mark.Line == 0 {
		return fmt.Errorf("%s: not YAML: %s", f.path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	line, from := problem.Mark.Line, problem.ContextMark.Line
	if line > bytes.Count(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))+1 {
		line = from // at the end of the file a construct is missing its own end
	}
	text := fmt.Sprintf("%s:%d: not YAML: %s", f.path, line, problem.Message)
	if from != 0 && from != line {
		text += fmt.Sprintf(" %s from line %d on", problem.ContextMsg, from)
	}
	return errors.New(text)
}

func (f configFile) read() (content []byte, err error) {
	defer func() {
		var inPath *os.PathError
		if errors.As(err, &inPath) {
			err = inPath.Err // the path stands before it
		}
		if err != nil {
			err = fmt.Errorf("cannot read the configuration file %s (%s): %w", f.path, f.origin, err)
		}
	}()
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	content, err = io.ReadAll(io.LimitReader(file, configBytesMax+1))
	if len(content) > configBytesMax {
		return nil, fmt.Errorf("it has more than %d bytes", configBytesMax)
	}
	return content, err
}

func (f configFile) errorAt(node *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", f.path, node.Line, fmt.Sprintf(format, args...))
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rlserver/rlserver/server/config"
)

// configBytesMax is the most that a configuration file may have. All settings with long
// comments stay far below; it is there so that a wrong path does not fill the memory.
const configBytesMax = 1 << 20

// A configFile is a flat mapping in YAML, setting: value. Values are read as they are
// written, so that a password 0123 or yes is what it looks like.
type configFile struct {
	path   string // empty: no file
	origin string // --config or RLSERVER_CONFIG
}

// settings are the settings in the file, in its order. Errors name the file and the line.
func (f configFile) settings() ([]assignment, error) {
	if f.path == "" {
		return nil, nil
	}
	content, err := f.read()
	if err != nil {
		return nil, err
	}
	return f.parse(content)
}

func (f configFile) parse(content []byte) ([]assignment, error) {
	document, err := f.document(content)
	if err != nil {
		return nil, err
	}
	var found []assignment
	seen := map[string]int{} // setting → line
	list := pairs(document)
	for i := 0; i < len(list); i += 2 {
		key, value := list[i], list[i+1]
		row, known := config.Find(table, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode:
			return nil, f.errorAt(key, "expected the name of a setting; see rlserver serve --help")
		case !known:
			return nil, f.errorAt(key, "%s", unknownSetting(key.Value))
		case seen[row.Name] != 0:
			return nil, f.errorAt(key, "%s is set twice, first in line %d", row.Name, seen[row.Name])
		}
		seen[row.Name] = key.Line
		text, err := f.value(row, value)
		if err != nil {
			return nil, err
		}
		found = append(found, assignment{row.Name, text, fmt.Sprintf("%s:%d", f.path, value.Line)})
	}
	return found, nil
}

// document is the one YAML document of the file. It has a mapping, or null, or nothing.
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
	case len(first.Content) > 0 && first.Content[0].Kind != yaml.MappingNode && !isNull(first.Content[0]):
		return nil, f.errorAt(first.Content[0], "expected settings, one a line, name: value; see rlserver serve --help")
	}
	return &first, nil
}

// pairs are the names and values in a document, by turns.
func pairs(document *yaml.Node) []*yaml.Node {
	if len(document.Content) == 0 {
		return nil
	}
	return document.Content[0].Content
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
	return "", f.errorAt(node, "%s must be one plain value, not %s: expected %s", row.Name, describe(node), row.Accepts())
}

func unknownSetting(name string) string {
	known := settingNames()
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("unknown setting %q: did you mean %s? See rlserver serve --help for all of them", name, near)
	}
	return fmt.Sprintf("unknown setting %q: expected one of %s", name, strings.Join(known, ", "))
}

// isPlain is true for a value without a tag of its own: tags such as !!binary and !secret mean
// nothing here.
func isPlain(node *yaml.Node) bool {
	if node.Kind != yaml.ScalarNode {
		return false
	}
	switch node.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp":
		return true
	}
	return false
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	case yaml.ScalarNode, yaml.DocumentNode, yaml.StreamNode:
	}
	return "a value with the tag " + node.Tag
}

// syntaxError says what is wrong with content that is not YAML, and in which line.
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

func (f configFile) read() ([]byte, error) {
	fail := func(problem any) ([]byte, error) {
		return nil, fmt.Errorf("cannot read the configuration file %s (%s): %v", f.path, f.origin, problem)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return fail(withoutPath(err))
	}
	defer func() { _ = file.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(file, configBytesMax+1))
	if err != nil {
		return fail(withoutPath(err))
	}
	if len(content) > configBytesMax {
		return fail(fmt.Sprintf("it has more than %d bytes", configBytesMax))
	}
	return content, nil
}

// withoutPath is the reason in an error of package os, for a message that has the path.
func withoutPath(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

func (f configFile) errorAt(node *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", f.path, node.Line, fmt.Sprintf(format, args...))
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rlserver/rlserver/server/config"
)

// CONFIG REWRITE writes settings that were changed while running to the configuration file. The
// file keeps its comments and its order. Where each setting has a line of its own, only values
// change.

var errNotRewritten = errors.New("the file has a form in which the settings cannot be changed; write one setting a line, name: value")

// rewriteFile does CONFIG REWRITE. The log warns of settings that a flag or a variable gave: at the
// next start those go before the file.
func rewriteFile(file configFile, origins map[string]string, logger *slog.Logger) func(changed map[string]string) error {
	return func(changed map[string]string) error {
		if err := file.rewrite(changed); err != nil {
			return err
		}
		logger.Info("configuration file rewritten", "file", file.path)
		for _, name := range slices.Sorted(maps.Keys(changed)) {
			if origin := origins[name]; origin == "--"+name || origin == envName(name) {
				logger.Warn("a setting was written to the configuration file, but at the next start its flag or variable goes before the file",
					"name", name, "from", origin)
			}
		}
		return nil
	}
}

// rewrite replaces the file by one with these values.
func (f configFile) rewrite(changed map[string]string) error {
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	content, err := f.read()
	if err != nil {
		return err
	}
	edited, err := f.edit(content, changed)
	if err != nil || bytes.Equal(edited, content) {
		return err
	}
	return replaceFile(path, edited, info.Mode().Perm())
}

// edit returns content with other values, which it has read again to be sure, or an error.
func (f configFile) edit(content []byte, changed map[string]string) ([]byte, error) {
	found, err := f.parse(content)
	if err != nil {
		return nil, err
	}
	want, missing := map[string]string{}, maps.Clone(changed)
	for _, a := range found {
		want[a.name] = a.value
		delete(missing, a.name)
	}
	maps.Copy(want, changed)
	for name, value := range missing {
		if name == config.NameReplicaOf && value == "" { // a primary needs no line
			delete(missing, name)
			delete(want, name)
		}
	}
	document, err := f.document(content)
	if err != nil {
		return nil, err
	}
	for _, edit := range []func(_ []byte, _ *yaml.Node, changed, missing map[string]string) ([]byte, error){editLines, editTree} {
		edited, err := edit(content, document, changed, missing)
		if err != nil {
			continue
		}
		if got, err := f.parse(edited); err == nil && maps.Equal(values(got), want) {
			return edited, nil
		}
	}
	return nil, errNotRewritten
}

func values(found []assignment) map[string]string {
	m := map[string]string{}
	for _, a := range found {
		m[a.name] = a.value
	}
	return m
}

// editLines writes lines anew whose value changes, as if each setting had a line of its own, and
// adds lines for those that are missing.
func editLines(content []byte, document *yaml.Node, changed, missing map[string]string) ([]byte, error) {
	lines := bytes.SplitAfter(content, []byte("\n"))
	list := pairs(document)
	for i := 0; i < len(list); i += 2 {
		key, value := list[i], list[i+1]
		row, _ := config.Find(table, key.Value)
		text, isChanged := changed[row.Name]
		if !isChanged || isPlain(value) && !isNull(value) && value.Value == text {
			continue
		}
		line := lines[key.Line-1]
		comment := ""
		if value.LineComment != "" {
			comment = " " + value.LineComment
		}
		ending := line[len(bytes.TrimRight(line, "\r\n")):]
		lines[key.Line-1] = fmt.Appendf(nil, "%s%s: %s%s%s", strings.Repeat(" ", key.Column-1), key.Value, scalarText(text), comment, ending)
	}
	edited := bytes.Join(lines, nil)
	if len(edited) > 0 && len(missing) > 0 && edited[len(edited)-1] != '\n' {
		edited = append(edited, '\n')
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		edited = fmt.Appendf(edited, "%s: %s\n", name, scalarText(missing[name]))
	}
	return edited, nil
}

// editTree has the YAML library write the whole file anew. Blank lines are lost.
func editTree(_ []byte, document *yaml.Node, changed, missing map[string]string) ([]byte, error) {
	if len(document.Content) == 0 {
		return nil, errNotRewritten
	}
	root := document.Content[0]
	if isNull(root) {
		*root = yaml.Node{Kind: yaml.MappingNode}
	}
	for i := 0; i < len(root.Content); i += 2 {
		row, _ := config.Find(table, root.Content[i].Value)
		if text, isChanged := changed[row.Name]; isChanged {
			node := scalar(text)
			node.LineComment = root.Content[i+1].LineComment
			root.Content[i+1] = node
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		root.Content = append(root.Content, scalar(name), scalar(missing[name]))
	}
	return yaml.Dump(document)
}

// plainText are values that need no quotes. Values are read as they are written, so their type in
// YAML does not matter.
var plainText = regexp.MustCompile(`^[A-Za-z0-9_./]+([ -][A-Za-z0-9_./]+)*$`)

func scalar(value string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: value, Tag: "!!str"}
	if plainText.MatchString(value) && !strings.EqualFold(value, "null") {
		node.Tag = ""
	}
	return node
}

// scalarText is a value as it stands in a line.
func scalarText(value string) string {
	text, err := yaml.Marshal(scalar(value))
	if err != nil || bytes.Count(text, []byte("\n")) != 1 { // of several lines
		return fmt.Sprintf("%q", value)
	}
	return strings.TrimSpace(string(text))
}

// replaceFile puts a file in the place of another in one step. When it returns, the new file is on
// disk.
func replaceFile(path string, content []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	temporary, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }() // it was only read
	return parent.Sync()
}

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
func (c *configuration) rewriteFile(logger *slog.Logger) func(changed map[string]string) error {
	return func(changed map[string]string) error {
		if err := c.file.rewrite(changed); err != nil {
			return err
		}
		logger.Info("configuration file rewritten", "file", c.file.path)
		for _, name := range slices.Sorted(maps.Keys(changed)) {
			if origin := c.origins[name]; origin == "--"+name || origin == envName(name) {
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

// edit returns content with other values, or an error. First it changes lines, as if each setting
// had a line of its own. If the result has other values than it should, the YAML library writes
// the document anew, without blank lines. The policies stay as they are, byte for byte.
func (f configFile) edit(content []byte, changed map[string]string) ([]byte, error) {
	before, err := f.parse(content)
	if err != nil {
		return nil, err
	}
	document, found := before.document, before.settings
	from, to := policiesLines(document, content)
	had, want := values(found), values(found)
	maps.Copy(want, changed)
	if _, has := had[config.NameReplicaOf]; !has && want[config.NameReplicaOf] == "" {
		delete(want, config.NameReplicaOf) // a primary needs no line
	}
	root, lines := document.Content[0], bytes.SplitAfter(content, []byte("\n"))
	policies := bytes.Join(lines[from:to], nil) // stay as they stand
	if at := slices.IndexFunc(root.Content, isPolicies); at >= 0 {
		root.Content = slices.Delete(root.Content, at, at+2)
	}
	for i, a := range found {
		key, value := root.Content[2*i], &root.Content[2*i+1]
		if want[a.name] == a.value {
			continue
		}
		comment := (*value).LineComment
		*value = scalar(want[a.name])
		(*value).LineComment = comment
		line := &lines[key.Line-1]
		ending := (*line)[len(bytes.TrimRight(*line, "\r\n")):]
		*line = fmt.Appendf(nil, "%*s%s%s", key.Column-1, "", settingLine(key.Value, *value), ending)
	}
	edited := bytes.Join(lines[:from], nil) // new settings stand above the policies
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, has := had[name]; has {
			continue
		}
		if len(edited) > 0 && edited[len(edited)-1] != '\n' {
			edited = append(edited, '\n')
		}
		edited = fmt.Appendf(edited, "%s\n", settingLine(name, scalar(want[name])))
		root.Content = append(root.Content, scalar(name), scalar(want[name]))
	}
	edited = append(edited, bytes.Join(lines[from:], nil)...)
	if f.says(edited, want, policies) {
		return edited, nil
	}
	if edited, err = yaml.Dump(document); err == nil {
		edited = append(edited, policies...)
		if f.says(edited, want, policies) {
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

// says reads content, and compares its settings and the lines of its policies.
func (f configFile) says(content []byte, want map[string]string, policies []byte) bool {
	c, err := f.parse(content)
	if err != nil || !maps.Equal(values(c.settings), want) {
		return false
	}
	from, to := policiesLines(c.document, content)
	return bytes.Equal(bytes.Join(bytes.SplitAfter(content, []byte("\n"))[from:to], nil), policies)
}

// policiesLines are the lines of the policies, from 0 on, with the comments above them: to the next
// setting and the comments above that. Where there are none, they would stand at the end.
func policiesLines(document *yaml.Node, content []byte) (from, to int) {
	keys, lines := document.Content[0].Content, bytes.SplitAfter(content, []byte("\n"))
	at := slices.IndexFunc(keys, isPolicies)
	if at < 0 {
		return len(lines), len(lines)
	}
	first := func(key *yaml.Node) int {
		line := key.Line - 1
		for line > 0 && bytes.HasPrefix(bytes.TrimLeft(lines[line-1], " "), []byte("#")) {
			line--
		}
		return line
	}
	from, to = first(keys[at]), len(lines)
	if at+2 < len(keys) {
		to = max(first(keys[at+2]), from)
	}
	return from, to
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

// settingLine is a setting in a line of its own, without its end.
func settingLine(name string, value *yaml.Node) []byte {
	inLine := *value
	if strings.Contains(value.Value, "\n") {
		inLine.Style = yaml.DoubleQuotedStyle
	}
	// The only error is a node of another kind.
	line, _ := yaml.Marshal(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar(name), &inLine}})
	return bytes.TrimRight(line, "\n")
}

// replaceFile puts a file in the place of another in one step. When it returns, the new file is on
// disk.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	temporary, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

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
// the document anew, without blank lines.
func (f configFile) edit(content []byte, changed map[string]string) ([]byte, error) {
	document, found, err := f.parse(content)
	if err != nil {
		return nil, err
	}
	had, want := values(found), values(found)
	maps.Copy(want, changed)
	if _, has := had[config.NameReplicaOf]; !has && want[config.NameReplicaOf] == "" {
		delete(want, config.NameReplicaOf) // a primary needs no line
	}
	root, lines := document.Content[0], bytes.SplitAfter(content, []byte("\n"))
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
	edited := bytes.Join(lines, nil)
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
	if f.says(edited, want) {
		return edited, nil
	}
	if edited, err = yaml.Dump(document); err == nil && f.says(edited, want) {
		return edited, nil
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

// says reads content and compares its settings.
func (f configFile) says(content []byte, want map[string]string) bool {
	_, found, err := f.parse(content)
	return err == nil && maps.Equal(values(found), want)
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

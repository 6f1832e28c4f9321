package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/config"
)

// policiesKey is the key of the configuration file that policies stand under. Each is a name with its
// limits as one text, as a list with one limit each, or as a mapping with limits, shadow and overrides.
const policiesKey = "policies"

// policyKeys are the keys of a policy that is a mapping.
var policyKeys = []string{"limits", "shadow", "overrides"}

// A policyReader reads the policies of a file. logLimitMax is the highest limit of a log.
type policyReader struct {
	configFile
	logLimitMax int64
	seen        map[string]policy.Definition // by text: many keys have the same limits
}

// read reads the value of policiesKey. Errors name the file and the line.
func (r policyReader) read(node *yaml.Node) (found []policy.FileDefinition, err error) {
	found = []policy.FileDefinition{}
	overrides := 0
	err = r.each(node, "policies", "name: limits", func(key, value *yaml.Node) error {
		if err := policy.CheckName(key.Value); err != nil {
			return r.errorAt(key, "%v", err)
		}
		d, err := r.policy(key.Value, value)
		found, overrides = append(found, d), overrides+len(d.Overrides)
		if err == nil && (len(found) > policy.PoliciesMax || overrides > policy.OverridesMax) {
			err = r.errorAt(key, "more policies or overrides than accepted, which is up to %d and %d", policy.PoliciesMax, policy.OverridesMax)
		}
		return err
	})
	return found, err
}

// each visits the pairs of a mapping, which has each key once. Nothing stands for an empty one.
func (r policyReader) each(node *yaml.Node, what, accepts string, visit func(key, value *yaml.Node) error) error {
	if isNull(node) {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return r.errorAt(node, "%s must be a mapping, not %s: expected %s", what, kindText(node), accepts)
	}
	lines := map[string]int{}
	for pair := range slices.Chunk(node.Content, 2) {
		key, value := pair[0], pair[1]
		switch {
		case !isPlain(key) || isNull(key):
			return r.errorAt(key, "%s have a key that is %s: expected %s", what, kindText(key), accepts)
		case lines[key.Value] != 0:
			return r.errorAt(key, "%s have %.64q twice, first in line %d", what, key.Value, lines[key.Value])
		}
		lines[key.Value] = key.Line
		if err := visit(key, value); err != nil {
			return err
		}
	}
	return nil
}

// policy reads what a name stands for.
func (r policyReader) policy(name string, node *yaml.Node) (d policy.FileDefinition, err error) {
	d.Name = name
	subject := fmt.Sprintf("policy '%s'", name)
	if node.Kind != yaml.MappingNode {
		d.Definition, err = r.definition(subject, node, false)
		return d, err
	}
	limits, shadow := node, false
	err = r.each(node, subject, "limits, shadow and overrides", func(key, value *yaml.Node) error {
		switch key.Value {
		case "limits":
			limits = value
		case "shadow":
			if !isPlain(value) || !config.Bool(&shadow).Set(value.Value) {
				return r.errorAt(value, "%s: shadow must be %s", subject, config.Bool(&shadow).Accepts)
			}
		case "overrides":
			d.Overrides = make(map[string]policy.Definition, len(value.Content)/2)
			return r.overrides(subject, value, d.Overrides)
		default:
			if near := policy.Nearest(key.Value, policyKeys); near != "" {
				return r.errorAt(key, "%s: unknown key %.64q: did you mean %s?", subject, key.Value, near)
			}
			return r.errorAt(key, "%s: unknown key %.64q: expected limits, shadow or overrides", subject, key.Value)
		}
		return nil
	})
	if err == nil && limits == node {
		err = r.errorAt(node, "%s has no limits: expected limits: ALGORITHM LIMIT PERIOD [BURST n]", subject)
	}
	if err == nil {
		d.Definition, err = r.definition(subject, limits, shadow)
	}
	return d, err
}

// overrides reads definitions by their keys.
func (r policyReader) overrides(subject string, node *yaml.Node, found map[string]policy.Definition) error {
	return r.each(node, "the overrides of "+subject, "key: limits", func(key, value *yaml.Node) error {
		subject := fmt.Sprintf("%s, override for the key '%.64s'", subject, key.Value)
		if err := engine.CheckKey(key.Value); err != nil {
			return r.errorAt(key, "%s: %v", subject, err)
		}
		d, err := r.definition(subject, value, false)
		found[key.Value] = d
		return err
	})
}

// definition reads limits, as one text or as a list with one limit each.
func (r policyReader) definition(subject string, node *yaml.Node, shadow bool) (d policy.Definition, err error) {
	switch {
	case isNull(node): // no limit, which the check tells
	case isPlain(node):
		var has bool
		if d, has = r.seen[node.Value]; has {
			break
		}
		if d, err = policy.Parse(node.Value); err != nil {
			return d, r.errorAt(node, "%s: %v", subject, err)
		}
		r.seen[node.Value] = d
	case node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			one, err := readItem(item)
			if err != nil {
				return d, r.errorAt(item, "%s: rule %d: %v", subject, i+1, err)
			}
			d.Rules = append(d.Rules, one)
		}
	default:
		return d, r.errorAt(node, "%s must be text or a list, not %s: expected ALGORITHM LIMIT PERIOD [BURST n], with + before another limit, or deny or allow", subject, kindText(node))
	}
	if shadow && d.Verdict != policy.Ask {
		return d, r.errorAt(node, "%s: shadow is for limits, not for %v", subject, d.Verdict)
	}
	d.Shadow = d.Shadow || shadow
	if err = d.Check(r.logLimitMax); err != nil {
		return d, r.errorAt(node, "%s: %v", subject, err)
	}
	return d, nil
}

// readItem reads one limit of a list.
func readItem(node *yaml.Node) (rule policy.Rule, err error) {
	switch words := strings.Fields(node.Value); {
	case !isPlain(node) || isNull(node):
		return rule, fmt.Errorf("expected text, ALGORITHM LIMIT PERIOD [BURST n], not %s", kindText(node))
	case len(words) > 0 && strings.EqualFold(words[len(words)-1], "shadow"):
		return rule, errors.New("SHADOW is for the whole policy: expected shadow: yes beside limits")
	}
	return policy.ParseRule(node.Value)
}

// kindText is what a node is, for errors.
func kindText(node *yaml.Node) string {
	switch {
	case isNull(node):
		return "nothing"
	case isPlain(node):
		return "a plain value"
	}
	return map[yaml.Kind]string{yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list", yaml.AliasNode: "an alias",
		yaml.ScalarNode: "a value with the tag " + node.Tag}[node.Kind]
}

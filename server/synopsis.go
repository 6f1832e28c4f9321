package server

import (
	"cmp"
	"slices"
	"strings"
)

// The arguments of a command are written in the table as Redis's documentation writes
// them, and COMMAND DOCS is made from that:
//
//	name                 a required argument; its type follows from its name
//	NAME|NAME            one of these words
//	( … | … )            one of these
//	TOKEN name           a word and then an argument
//	[ … ]                optional
//	[name ...]           behind the same name or names: as many more as you like
type argument struct {
	name     string
	kind     string // key, pattern, integer, string, pure-token, oneof or block
	token    string
	optional bool
	multiple bool
	parts    []argument // of a oneof or a block
}

// words is how many words the argument has, if it is given once.
func (a argument) words() int {
	n := max(len(a.parts), 1)
	if a.kind == "oneof" {
		n = 1
	}
	if a.token != "" {
		n++
	}
	return n
}

// varies says whether the argument can be of several lengths, of which words is the shortest.
func (a argument) varies() bool {
	return a.kind == "oneof" && slices.ContainsFunc(a.parts, func(part argument) bool { return part.kind == "block" })
}

// argumentKinds lists the names of arguments that are not strings.
var argumentKinds = map[string]string{
	"key": "key", "pattern": "pattern", "limit": "integer", "burst": "integer", "cost": "integer",
	"count": "integer", "numkeys": "integer", "cursor": "integer", "index": "integer", "protover": "integer", "client-id": "integer",
}

// parseSynopsis reads the notation. The table is ours, so what it cannot read it panics on.
func parseSynopsis(synopsis string) []argument {
	var arguments []argument
	for rest := strings.TrimSpace(synopsis); rest != ""; {
		var item string
		optional := rest[0] == '['
		switch {
		case rest[0] == '(':
			end := closing(rest)
			arguments = append(arguments, oneOf(strings.Split(rest[1:end], " | ")))
			rest = strings.TrimSpace(rest[end+1:])
			continue
		case optional:
			end := closing(rest)
			item, rest = rest[1:end], rest[end+1:]
		default:
			item, rest = cutItem(rest)
		}
		rest = strings.TrimSpace(rest)
		if names, more := strings.CutSuffix(item, " ..."); optional && more {
			arguments = repeat(arguments, strings.Fields(names))
			continue
		}
		a := parseItem(item)
		a.optional = optional
		arguments = append(arguments, a)
	}
	return arguments
}

// cutItem cuts the first item: a word, or a TOKEN and the word behind it.
func cutItem(s string) (item, rest string) {
	word, rest, _ := strings.Cut(s, " ")
	if isToken(word) && !strings.Contains(word, "|") && rest != "" && rest[0] != '[' {
		next, after, _ := strings.Cut(rest, " ")
		return word + " " + next, after
	}
	return word, rest
}

// parseItem reads what stands between brackets, or one item.
func parseItem(item string) argument {
	first, rest, _ := strings.Cut(item, " ")
	if isToken(first) && !strings.Contains(first, "|") {
		if rest == "" {
			return argument{name: strings.ToLower(first), kind: "pure-token", token: first}
		}
		inner := parseSynopsis(rest)
		if len(inner) > 1 || inner[0].token != "" {
			return argument{name: strings.ToLower(first), kind: "block", token: first, parts: inner}
		}
		inner[0].token = first
		return inner[0]
	}
	if strings.Contains(first, "|") {
		return oneOf(strings.Split(first, "|"))
	}
	if rest == "" {
		return argument{name: first, kind: kindOf(first)}
	}
	return block(first, parseSynopsis(item))
}

// oneOf is one of several alternatives. The first names it.
func oneOf(alternatives []string) argument {
	a := argument{kind: "oneof"}
	for _, alternative := range alternatives {
		parts := parseSynopsis(alternative)
		if isToken(alternative) { // a word that parseSynopsis, at the end of a line, takes for a name
			parts = []argument{{name: strings.ToLower(alternative), kind: "pure-token", token: alternative}}
		}
		a.parts = append(a.parts, block(parts[0].name, parts))
	}
	a.name = a.parts[0].name
	return a
}

// block is several arguments as one, unless it is only one.
func block(name string, parts []argument) argument {
	if len(parts) == 1 {
		return parts[0]
	}
	return argument{name: name, kind: "block", parts: parts}
}

// repeat marks the arguments that were just read, and are named again, as repeatable. Names
// that were not there before are an optional argument of their own.
func repeat(arguments []argument, names []string) []argument {
	from := len(arguments) - len(names)
	for i, name := range names {
		if from < 0 || arguments[from+i].name != name {
			return append(arguments, argument{name: names[0], kind: kindOf(names[0]), optional: true, multiple: true})
		}
	}
	again := block(strings.Join(names, "-"), slices.Clone(arguments[from:]))
	again.multiple = true
	return append(arguments[:from], again)
}

func kindOf(name string) string { return cmp.Or(argumentKinds[name], "string") }

func isToken(word string) bool { return word == strings.ToUpper(word) }

// closing is the place of the bracket that closes the one at s[0].
func closing(s string) int {
	depth := 0
	for i, c := range s {
		switch c {
		case '[', '(':
			depth++
		case ']', ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	panic("server: unbalanced brackets in a synopsis: " + s)
}

package lua

import (
	"fmt"

	"github.com/rlserver/rlserver/engine"
)

// Words is the EVALSHA that decides a question in Redis, and the source of the script that it names. It
// is for a program that puts questions to a Redis itself, as a benchmark does.
func Words(q *engine.Question) (words []string, source string) {
	for _, word := range command(q, &Options{LogLimitMax: engine.LogLimitDefault}, -1) {
		words = append(words, fmt.Sprint(word))
	}
	for _, s := range scripts {
		if s.sha == words[1] {
			source = s.source
		}
	}
	return words, source
}

// Explain computes the decision from the reply to that EVALSHA: an int64, or a []any of them.
func Explain(q *engine.Question, reply any) error {
	_, err := explain(q, reply)
	return err
}

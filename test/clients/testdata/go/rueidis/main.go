// Program rueidis carries lines to a server with rueidis (see clients_test.go).
package main

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"rlserver-test-clients/lines"
)

func connect() (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{lines.Address}, Password: lines.Password, TLSConfig: lines.TLS(),
		AlwaysRESP2: lines.Protocol == "2", DisableCache: lines.Protocol == "2",
	})
}

func main() {
	var c rueidis.Client
	ctx := context.Background()
	lines.Carry("github.com/redis/rueidis", func(commands [][]string) (shown []string) {
		if c == nil {
			made, err := connect()
			if err != nil {
				return []string{lines.Show(nil, err)}
			}
			c = made
		}
		if words := commands[0]; words[0] == "cached" {
			question := rueidis.Cacheable(build(c, words[1:]))
			return []string{lines.Show(c.DoCache(ctx, question, time.Minute).ToAny())}
		}
		var list rueidis.Commands
		for _, words := range commands {
			list = append(list, build(c, words))
		}
		for _, reply := range c.DoMulti(ctx, list...) {
			shown = append(shown, lines.Show(reply.ToAny()))
		}
		return shown
	})
}

func build(c rueidis.Client, words []string) rueidis.Completed {
	command := c.B().Arbitrary(words[0])
	if len(words) > 2 {
		return command.Keys(words[1]).Args(words[2:]...).Build()
	}
	return command.Args(words[1:]...).Build()
}

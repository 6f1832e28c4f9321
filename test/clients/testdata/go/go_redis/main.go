// Program go_redis carries lines to a server with go-redis (see clients_test.go).
package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rlserver-test-clients/lines"
)

func main() {
	protocol, _ := strconv.Atoi(lines.Protocol) // 0: go-redis chooses
	options := &redis.UniversalOptions{
		Addrs: []string{lines.Address}, Password: lines.Password, Protocol: protocol, TLSConfig: lines.TLS(),
		IsClusterMode: lines.Mode == "cluster", ReadTimeout: time.Minute,
	}
	c := redis.NewUniversalClient(options)
	ctx := context.Background()
	lines.Carry("github.com/redis/go-redis/v9", func(commands [][]string) (shown []string) {
		if commands[0][0] == "parses" {
			return []string{lines.Show("ok", parses(ctx, c, commands[0][1]))}
		}
		if len(commands) == 1 {
			return []string{lines.Show(c.Do(ctx, lines.Words(commands[0])...).Result())}
		}
		pipe := c.Pipeline()
		for _, words := range commands {
			pipe.Do(ctx, lines.Words(words)...)
		}
		replies, _ := pipe.Exec(ctx) // the first error, which its own reply has too
		for _, reply := range replies {
			shown = append(shown, lines.Show(reply.(*redis.Cmd).Result()))
		}
		return shown
	})
}

// parses looks at what go-redis makes of replies that it knows.
func parses(ctx context.Context, c redis.UniversalClient, log string) error {
	config, err1 := c.ConfigGet(ctx, "maxclients").Result()
	table, err2 := c.Command(ctx).Result()
	now, err3 := c.Time(ctx).Result()
	left, err4 := c.PTTL(ctx, log).Result()
	kind, err5 := c.Type(ctx, log).Result()
	_, err6 := c.SlowLogGet(ctx, -1).Result()
	me, err7 := c.(*redis.Client).ClientInfo(ctx).Result()
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return err
	}
	found := 0
	for keys := c.Scan(ctx, 0, log, 10).Iterator(); keys.Next(ctx); {
		found++
	}
	check := table["rl.check"]
	for what, holds := range map[string]bool{
		fmt.Sprintf("ConfigGet %v", config): config["maxclients"] == "10000",
		fmt.Sprintf("Command %+v", check):   check != nil && check.FirstKeyPos == 1 && !check.ReadOnly,
		fmt.Sprintf("Time %v", now):         time.Since(now).Abs() < time.Minute,
		fmt.Sprintf("PTTL %v", left):        left > 50*time.Minute && left <= time.Hour,
		fmt.Sprintf("Type %v", kind):        kind == "sliding_window_log",
		fmt.Sprintf("Scan %d", found):       found == 1,
		fmt.Sprintf("ClientInfo %+v", me):   strings.HasPrefix(me.LibName, "go-redis") && me.LibVer != "",
	} {
		if !holds {
			return errors.New(what)
		}
	}
	return nil
}

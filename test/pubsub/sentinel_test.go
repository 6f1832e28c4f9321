package pubsub

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// Real Sentinels find each other through the channel of a server that they watch.
func TestSentinelsMeetOverAChannel(t *testing.T) {
	p := harness.StartServer(t)
	var sentinels []*redis.SentinelClient
	for range 2 {
		s := harness.StartSentinel(t, "mine", p.Port, 30*time.Second)
		c := redis.NewSentinelClient(&redis.Options{Addr: s.Addr()})
		t.Cleanup(func() { _ = c.Close() })
		sentinels = append(sentinels, c)
	}
	for _, c := range sentinels {
		harness.Eventually(t, "a Sentinel knows the other and a server that is up", func() bool {
			known := c.Master(t.Context(), "mine").Val()
			return known["num-other-sentinels"] == "1" && known["flags"] == "master"
		})
	}
	if got := len(p.Dial().Listed("LIST", "TYPE", "pubsub")); got != 2 {
		t.Errorf("%d Sentinels listen, want 2", got)
	}
}

package peers

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/gubernator-io/gubernator/v2"
	"github.com/redis/go-redis/v9"
	"github.com/sirupsen/logrus"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	"github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"github.com/rlserver/rlserver/engine"
)

// period is that of each limit.
const period = time.Minute

// An ask takes one unit of a key. An error counts as neither admitted nor denied.
type ask func(key string) (allowed bool, err error)

// A contestant is a library that limits the rate of string keys.
type contestant struct {
	name, algorithm string
	// make makes one that admits limit units at once, and as many in each period. The address is that
	// of a Redis.
	make func(limit int, redisAddr string) (ask, error)
}

const (
	nameEngine    = "rlserver's engine"
	nameRedisRate = "redis_rate v10.0.1, local Redis"
)

var contestants = []contestant{
	{nameEngine, "token bucket", newEngine},
	{"throttled v2.15.0, memstore", "GCRA", newThrottled},
	{"ulule/limiter v3.11.2, memory", "window from a key's first request", newUlule},
	{"mutex and map of x/time/rate v0.16.0", "token bucket", newRate},
	{"gubernator v2.13.0, its library", "window from a key's first request", newGubernator},
	{nameRedisRate, "GCRA", newRedisRate},
}

func newEngine(limit int, _ string) (ask, error) {
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		return nil, err
	}
	l, err := engine.NewLimit(int64(limit), period, 0)
	return func(key string) (bool, error) {
		d, err := store.Check(key, engine.TokenBucket, l, 1, time.Now().UnixMicro())
		return d.Allowed, err
	}, err
}

func newThrottled(limit int, _ string) (ask, error) {
	const unbounded = 0
	store, err := memstore.NewCtx(unbounded)
	if err != nil {
		return nil, err
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerDuration(limit, period), MaxBurst: limit - 1})
	return func(key string) (bool, error) {
		limited, _, err := l.RateLimitCtx(context.Background(), key, 1)
		return !limited, err
	}, err
}

func newUlule(limit int, _ string) (ask, error) {
	l := limiter.New(memory.NewStore(), limiter.Rate{Period: period, Limit: int64(limit)})
	return func(key string) (bool, error) {
		got, err := l.Get(context.Background(), key)
		return !got.Reached, err
	}, nil
}

func newRate(limit int, _ string) (ask, error) {
	var guard sync.Mutex
	limiters := map[string]*rate.Limiter{}
	return func(key string) (bool, error) {
		guard.Lock()
		l := limiters[key]
		if l == nil {
			l = rate.NewLimiter(rate.Limit(float64(limit)/period.Seconds()), limit)
			limiters[key] = l
		}
		guard.Unlock()
		return l.Allow(), nil
	}, nil
}

// gubernatorKeys is how many keys gubernator keeps; by default these are 50,000.
const gubernatorKeys = 2_000_000

// quiet is a logger for gubernator.
func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

// newGubernator makes one node that owns all keys, so that nothing is sent over a network.
func newGubernator(limit int, _ string) (ask, error) {
	const self = "127.0.0.1:1" // where nothing listens
	node, err := gubernator.NewV1Instance(gubernator.Config{GRPCServers: []*grpc.Server{grpc.NewServer()},
		CacheSize: gubernatorKeys, Logger: quiet()})
	if err != nil {
		return nil, err
	}
	node.SetPeers([]gubernator.PeerInfo{{GRPCAddress: self, IsOwner: true}})
	return func(key string) (bool, error) {
		got, err := node.GetRateLimits(context.Background(), &gubernator.GetRateLimitsReq{Requests: []*gubernator.RateLimitReq{
			{Name: "k", UniqueKey: key, Hits: 1, Limit: int64(limit), Duration: period.Milliseconds()}}})
		if err != nil {
			return false, err
		}
		if text := got.Responses[0].Error; text != "" {
			return false, fmt.Errorf("gubernator: %s", text)
		}
		return got.Responses[0].Status == gubernator.Status_UNDER_LIMIT, nil
	}, nil
}

func newRedisRate(limit int, redisAddr string) (ask, error) {
	l := redis_rate.NewLimiter(redis.NewClient(&redis.Options{Addr: redisAddr, PoolSize: hammerers}))
	return func(key string) (bool, error) {
		got, err := l.Allow(context.Background(), key, redis_rate.PerMinute(limit))
		return err == nil && got.Allowed == 1, err
	}, nil
}

// TestContestants asks each for a unit more than it has, so that like is compared with like.
func TestContestants(t *testing.T) {
	const limit = 5
	for _, c := range contestants {
		allow := c.mustMake(t, limit)
		for i := range limit + 1 {
			got, err := allow("key")
			if want := i < limit; err != nil || got != want {
				t.Errorf("%s: request %d of %d at once: %v, %v", c.name, i+1, limit, got, err)
			}
		}
	}
}

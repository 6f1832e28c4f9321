package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"testing"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// once is a limit of one unit, so that no key is idle or expires before all are there.
const once = 1

// A childJob is what a process of its own does: it fills a contestant with keys, or serves
// gubernator at an address.
type childJob struct {
	Name  string
	Keys  int
	Serve string
}

func TestMain(m *testing.M) { bench.Main(m, work) }

// work does a job in the child. If it fills, it returns by how many bytes resident memory grew,
// garbage given back.
func work(text []byte) (any, error) {
	var j childJob
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, err
	}
	if j.Serve != "" {
		return nil, serveGubernator(j.Serve)
	}
	for _, c := range contestants {
		if c.name != j.Name {
			continue
		}
		allow, err := c.make(once, "")
		if err != nil {
			return nil, err
		}
		before, err := bench.ResidentBytes()
		if err != nil {
			return nil, err
		}
		for i := range j.Keys {
			if allowed, err := allow(fmt.Sprintf("user:%011d", i)); !allowed || err != nil {
				return nil, fmt.Errorf("key %d was not admitted: %w", i, err)
			}
		}
		debug.FreeOSMemory()
		after, err := bench.ResidentBytes()
		if allowed, err := allow("user:00000000000"); allowed || err != nil { // so that all is in use until here
			return nil, errors.Join(errors.New("the first key was forgotten"), err)
		}
		return after - before, err
	}
	return nil, fmt.Errorf("no contestant is called %q", j.Name)
}

// memory is what so many keys take, in MB. For redis_rate that is what its Redis takes.
func (r *row) memory(t testing.TB, keys int) string {
	t.Helper()
	keys = bench.Scaled(keys, 100)
	var grew int64
	if r.name == nameRedisRate {
		redis := harness.StartRedis(t)
		allow, err := r.make(once, redis.Addr())
		if err != nil {
			t.Fatal(err)
		}
		before := harness.ResidentNow(t, redis.Cmd.Process.Pid)
		fill(t, allow, names(keys))
		grew = harness.ResidentNow(t, redis.Cmd.Process.Pid) - before
	} else {
		grew = bench.InChild[int64](t, childJob{Name: r.name, Keys: keys})
	}
	return fmt.Sprintf("%.1f", float64(grew)/1e6)
}

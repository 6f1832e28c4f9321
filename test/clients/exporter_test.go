package clients

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// missing are the metrics that redis_exporter makes of fields which a Redis has and this server has
// not; docs/OPERATING.md says why.
const missing = `
active_defrag_running allocator_active_bytes allocator_allocated_bytes allocator_frag_bytes
allocator_frag_ratio allocator_resident_bytes allocator_rss_bytes allocator_rss_ratio
aof_last_cow_size_bytes clients_in_timeout_table cluster_connections config_io_threads
cpu_sys_children_seconds_total cpu_sys_main_thread_seconds_total cpu_user_children_seconds_total
cpu_user_main_thread_seconds_total defrag_hits defrag_key_hits defrag_key_misses defrag_misses
dump_payload_sanitizations expired_stale_percentage expired_time_cap_reached_total
io_threaded_reads_processed io_threaded_writes_processed io_threads_active latest_fork_seconds
lazyfree_pending_objects mem_fragmentation_bytes mem_fragmentation_ratio
mem_not_counted_for_eviction_bytes memory_used_lua_bytes memory_used_overhead_bytes
memory_used_scripts_bytes memory_used_startup_bytes migrate_cached_sockets_total
module_fork_in_progress module_fork_last_cow_size number_of_cached_scripts
rdb_last_cow_size_bytes slave_expires_tracked_keys tracking_total_items tracking_total_keys
tracking_total_prefixes unexpected_error_replies`

// TestRedisExporter counts the metrics that redis_exporter reads, here and at a Redis.
func TestRedisExporter(t *testing.T) {
	if !*allClients {
		t.Skip("make test-clients installs redis_exporter")
	}
	server, redis := harness.StartServer(t), harness.StartRedis(t)
	server.Dial().Ask("RL.CHECK", "k", "token_bucket", "3", "1h")
	redis.Dial().Ask("SET", "k", "v")
	ours, theirs := exported(t, server), exported(t, redis)
	t.Logf("%d metrics, beside %d of a Redis", len(ours), len(theirs))
	var lacking []string
	for _, name := range theirs {
		if !slices.Contains(ours, name) {
			lacking = append(lacking, strings.TrimPrefix(name, "redis_"))
		}
	}
	slices.Sort(lacking)
	if want := strings.Fields(missing); !slices.Equal(lacking, want) {
		t.Errorf("redis_exporter misses %q,\nwant %q", lacking, want)
	}
}

// exported are the names of the metrics that redis_exporter makes of a server.
func exported(t *testing.T, p *harness.Process) (names []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	addr := "127.0.0.1:" + strconv.Itoa(harness.FreePort(t))
	exporter := exec.CommandContext(ctx, "prometheus-redis-exporter", "-web.listen-address", addr, "-redis.addr", "redis://"+p.Addr())
	said := &harness.LockedBuffer{}
	exporter.Stderr = said
	if err := exporter.Start(); err != nil {
		t.Fatalf("redis_exporter is missing; make test-clients installs it: %v", err)
	}
	defer exporter.Wait() //nolint:errcheck // it ends by the signal of the line below
	defer cancel()
	var page []byte
	harness.Eventually(t, "redis_exporter answers", func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		page, err = io.ReadAll(answer.Body)
		return err == nil
	})
	for line := range strings.Lines(string(page)) {
		name := line[:strings.IndexAny(line, " {")]
		if strings.HasPrefix(name, "redis_") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if strings.Contains(said.String(), "level=error") {
		t.Errorf("redis_exporter complains:\n%s", said)
	}
	return names
}

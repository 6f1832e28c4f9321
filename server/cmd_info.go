package server

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/rlserver/rlserver/server/process"
)

// newRunID makes the id of this run of the server: 40 hexadecimal digits, as in Redis.
func newRunID() string {
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// An infoSection is one part of INFO. Names and fields are those of Redis where Redis has them,
// because tools look for them.
type infoSection struct {
	name   string
	extra  bool // only on request, or with "all" and "everything"
	fields func(s *Server) []infoField
}

type infoField struct {
	name  string
	value any
}

var infoSections = []infoSection{
	{"Server", false, infoServer},
	{"Clients", false, infoClients},
	{"Memory", false, infoMemory},
	{"Persistence", false, infoPersistence},
	{"Stats", false, infoStats},
	{"Replication", false, infoReplication},
	{"CPU", false, infoCPU},
	{"Limiter", false, infoLimiter},
	{"Backend", false, infoBackend},
	{"Commandstats", true, infoCommandStats},
	{"Keyspace", false, infoKeyspace},
}

func cmdInfo(r *request) {
	var text strings.Builder
	for _, section := range infoSections {
		if !section.wanted(r.args[1:]) || section.name == "Backend" && r.server.backend == nil {
			continue
		}
		if text.Len() > 0 {
			text.WriteString("\r\n")
		}
		text.WriteString("# " + section.name + "\r\n")
		for _, f := range section.fields(r.server) {
			fmt.Fprintf(&text, "%s:%v\r\n", f.name, f.value)
		}
	}
	r.reply.Text(text.String())
}

// wanted says whether a section is among the names that INFO was given; without names, whether it is
// in the default.
func (section infoSection) wanted(names [][]byte) bool {
	if len(names) == 0 {
		return !section.extra
	}
	return slices.ContainsFunc(names, func(name []byte) bool {
		switch lower(name) {
		case "all", "everything":
			return true
		case "default":
			return !section.extra
		}
		return equalFold(name, section.name)
	})
}

func infoServer(s *Server) []infoField {
	uptime := (s.clock.micros() - s.clock.start.UnixMicro()) / 1_000_000
	executable, _ := os.Executable() // empty if unknown
	return []infoField{
		{"redis_version", redisVersion},
		{"redis_mode", "standalone"},
		{"rlserver_version", s.version},
		{"os", runtime.GOOS + " " + runtime.GOARCH},
		{"arch_bits", 32 << (^uint(0) >> 63)},
		{"go_version", runtime.Version()},
		{"process_id", os.Getpid()},
		{"run_id", s.runID},
		{"tcp_port", s.config().Port},
		{"server_time_usec", s.clock.micros()},
		{"uptime_in_seconds", uptime},
		{"uptime_in_days", uptime / 86_400},
		{"executable", executable},
		{"gomaxprocs", runtime.GOMAXPROCS(0)},
		{"goroutines", runtime.NumGoroutine()},
	}
}

func infoClients(s *Server) []infoField {
	return []infoField{
		{"connected_clients", s.sessions.len()},
		{"maxclients", s.config().MaxClients},
		{"blocked_clients", s.sessions.blocked()},
		{"pubsub_clients", s.pubsub.clients.Load()},
		{"monitor_clients", s.monitors.count.Load()},
		{"event_loops", s.wire.Loops()},
		{"clients_unsent_bytes", s.wire.Unsent()},
	}
}

// infoMemory gives the memory that maxmemory bounds as used_memory, so that one divided by the other
// is how full the server is. The memory of the process is used_memory_rss.
func infoMemory(s *Server) []infoField {
	counted, most := s.limiter.Stats(), s.config().MaxMemory
	used, gc := uint64(counted.Bytes()), process.ReadCollector()
	return []infoField{
		{"used_memory", used},
		{"used_memory_human", human(used)},
		{"used_memory_dataset", used},
		{"used_memory_tables", counted.TableBytes},
		{"used_memory_logs", counted.LogBytes},
		{"used_memory_heap", gc.HeapBytes},
		{"used_memory_rss", process.ResidentBytes()},
		{"used_memory_peak", process.Used().PeakBytes},
		{"maxmemory", most},
		{"maxmemory_human", human(uint64(most))},
		{"maxmemory_policy", maxMemoryPolicy},
		{"mem_allocator", "go " + runtime.Version()},
		{"gc_percent", gc.Percent},
		{"gc_soft_limit", gc.SoftLimit},
		{"gc_cycles", gc.Cycles},
		{"gc_cpu_percent", strconv.FormatFloat(100*gc.CPUShare, 'f', 2, 64)},
	}
}

func infoCPU(*Server) []infoField {
	usage := process.Used()
	seconds := func(micros int64) string {
		return strconv.FormatFloat(float64(micros)/1e6, 'f', 6, 64)
	}
	return []infoField{
		{"used_cpu_sys", seconds(usage.SystemMicros)},
		{"used_cpu_user", seconds(usage.UserMicros)},
	}
}

// human writes bytes as Redis does: 1.50M.
func human(n uint64) string {
	units := []string{"B", "K", "M", "G", "T"}
	value, i := float64(n), 0
	for value >= 1024 && i < len(units)-1 {
		value /= 1024
		i++
	}
	if i == 0 {
		return strconv.FormatUint(n, 10) + "B"
	}
	return strconv.FormatFloat(value, 'f', 2, 64) + units[i]
}

// infoReplicator has the replicator's fields of a section.
func infoReplicator(s *Server, section string) (fields []infoField) {
	s.replicator.Info(section, func(name string, value any) { fields = append(fields, infoField{name, value}) })
	return fields
}

func infoPersistence(s *Server) []infoField {
	if s.replicator != nil {
		return infoReplicator(s, "persistence")
	}
	return []infoField{
		{"loading", 0},
		{"rdb_bgsave_in_progress", 0},
		{"aof_enabled", 0},
		{"aof_rewrite_in_progress", 0},
	}
}

func infoStats(s *Server) []infoField {
	counted := s.limiter.Stats()
	evicted := counted.Evicted - s.stats.evictedBefore.Load()
	return []infoField{
		{"total_connections_received", s.stats.connections.Load()},
		{"total_commands_processed", s.stats.commands.Load()},
		{"instantaneous_ops_per_sec", s.stats.rate.Load()},
		{"rejected_connections", s.stats.rejected.Load()},
		{"timeout_disconnections", s.stats.idle.Load()},
		{"write_timeout_disconnections", s.stats.stuck.Load()},
		{"expired_keys", counted.Reclaimed - s.stats.reclaimedBefore.Load()},
		{"evicted_keys", evicted}, // what Redis's tools look for
		{"evicted_live_keys", evicted},
		{"pubsub_channels", s.pubsub.distinct(byChannel)},
		{"pubsub_patterns", s.pubsub.distinct(byPattern)},
		{"client_output_buffer_limit_disconnections", s.stats.cutOff.Load()},
		{"total_error_replies", s.stats.errors.Load()},
		{"protocol_errors", s.stats.protocolErrors.Load()},
		{"handler_panics", s.stats.panics.Load()},
		{"slowlog_entries", len(s.slowlog.newest(-1))},
	}
}

func infoReplication(s *Server) []infoField {
	if s.replicator != nil {
		return infoReplicator(s, "replication")
	}
	return []infoField{
		{"role", "master"},
		{"connected_slaves", 0},
	}
}

func infoLimiter(s *Server) []infoField {
	counted := s.limiter.Stats()
	return []infoField{
		{"backend", s.config().Backend},
		{"keys", counted.Keys},
		{"contended_swaps", counted.Contended},
		{"tables_rebuilt", counted.Rebuilt},
		{"max_log_limit", s.config().MaxLogLimit},
	}
}

func infoBackend(s *Server) (fields []infoField) {
	if s.backend != nil {
		s.backend.Info(func(name string, value any) { fields = append(fields, infoField{name, value}) })
	}
	return fields
}

func infoCommandStats(s *Server) []infoField {
	var fields []infoField
	s.table.each(func(c *command) {
		if calls := c.calls.Load(); calls > 0 {
			fields = append(fields, infoField{"cmdstat_" + c.fullName(), fmt.Sprintf("calls=%d", calls)})
		}
	})
	return fields
}

func infoKeyspace(s *Server) []infoField {
	keys := s.limiter.Len()
	if keys == 0 {
		return nil
	}
	return []infoField{{"db0", fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", keys, keys)}}
}

// stats are the counters behind INFO. Connections add to them once a batch.
type stats struct {
	commands       atomic.Uint64
	errors         atomic.Uint64 // error replies
	connections    atomic.Uint64 // received
	rejected       atomic.Uint64 // turned away
	protocolErrors atomic.Uint64
	panics         atomic.Uint64
	idle, stuck    atomic.Uint64 // connections closed for timeout and write-timeout
	cutOff         atomic.Uint64 // connections closed because too many pushes waited
	rate           atomic.Uint64 // commands in the last second
	// reclaimedBefore and evictedBefore are how many keys the limiter had reclaimed and evicted when
	// the statistics were reset.
	reclaimedBefore, evictedBefore atomic.Uint64
}

func (s *stats) reset() {
	for _, counter := range []*atomic.Uint64{&s.commands, &s.errors, &s.connections, &s.rejected, &s.protocolErrors, &s.panics, &s.idle, &s.stuck, &s.cutOff, &s.rate} {
		counter.Store(0)
	}
}

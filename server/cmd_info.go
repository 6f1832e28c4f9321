package server

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

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
	fields func(s info, add addField)
}

// An info is a server as one INFO tells of it.
type info struct {
	*Server
	clients func() sums // of all sessions, looked at once
}

func newInfo(s *Server) info { return info{s, sync.OnceValue(s.sessions.sums)} }

// An addField adds a field to a section.
type addField = func(name string, value any)

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
	{"Errorstats", false, infoErrorStats},
	{"Latencystats", true, infoLatencyStats},
	{"Cluster", false, infoCluster},
	{"Keyspace", false, infoKeyspace},
}

func cmdInfo(r *request) {
	var text strings.Builder
	all := newInfo(r.server)
	for _, section := range infoSections {
		if !section.wanted(r.args[1:]) || section.name == "Backend" && r.server.backend == nil {
			continue
		}
		if text.Len() > 0 {
			text.WriteString("\r\n")
		}
		text.WriteString("# " + section.name + "\r\n")
		section.fields(all, func(name string, value any) { fmt.Fprintf(&text, "%s:%v\r\n", name, value) })
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

func infoServer(s info, add addField) {
	uptime := int64(time.Since(s.started) / time.Second)
	executable, _ := os.Executable() // empty if unknown
	add("redis_version", redisVersion)
	add("redis_mode", s.mode())
	add("rlserver_version", s.version)
	add("os", runtime.GOOS+" "+runtime.GOARCH)
	add("arch_bits", 32<<(^uint(0)>>63))
	add("multiplexing_api", multiplexing[s.wire.Loops() > 0])
	add("go_version", runtime.Version())
	add("process_id", os.Getpid())
	add("run_id", s.runID)
	add("tcp_port", cmp.Or(s.config().Port, s.config().TLSPort))
	add("server_time_usec", s.Now())
	add("uptime_in_seconds", uptime)
	add("uptime_in_days", uptime/86_400)
	add("executable", executable)
	add("config_file", s.configFile)
	add("gomaxprocs", runtime.GOMAXPROCS(0))
	add("goroutines", runtime.NumGoroutine())
}

// multiplexing is how connections are served, with event loops or without.
var multiplexing = map[bool]string{true: "epoll", false: "goroutines"}

func infoClients(s info, add addField) {
	all := s.clients()
	add("connected_clients", all.connected)
	add("maxclients", s.config().MaxClients)
	add("client_recent_max_input_buffer", all.inputMax)
	add("client_recent_max_output_buffer", all.outputMax)
	add("tracking_clients", s.trackers.Load())
	add("blocked_clients", all.blocked)
	add("pubsub_clients", s.pubsub.clients.Load())
	add("monitor_clients", s.monitors.count.Load())
	add("event_loops", s.wire.Loops())
	add("clients_unsent_bytes", s.wire.Unsent())
}

// infoMemory gives the memory that maxmemory bounds as used_memory, so that one divided by the other
// is how full the server is. The memory of the process is used_memory_rss.
func infoMemory(s info, add addField) {
	counted, most := s.limiter.Stats(), s.config().MaxMemory
	used, gc := uint64(counted.Bytes()), process.ReadCollector()
	resident, peak, system := process.ResidentBytes(), process.Used().PeakBytes, process.SystemBytes()
	clients := s.clients()
	add("used_memory", used)
	add("used_memory_human", human(used))
	add("used_memory_dataset", used)
	add("used_memory_tables", counted.TableBytes)
	add("used_memory_logs", counted.LogBytes)
	add("used_memory_heap", gc.HeapBytes)
	add("used_memory_rss", resident)
	add("used_memory_rss_human", human(uint64(resident)))
	add("used_memory_peak", peak)
	add("used_memory_peak_human", human(uint64(peak)))
	add("total_system_memory", system)
	add("total_system_memory_human", human(uint64(system)))
	add("maxmemory", most)
	add("maxmemory_human", human(uint64(most)))
	add("maxmemory_policy", maxMemoryPolicy)
	add("mem_clients_slaves", clients.replicaMemory)
	add("mem_clients_normal", clients.normalMemory)
	add("mem_allocator", "go "+runtime.Version())
	add("gc_percent", gc.Percent)
	add("gc_soft_limit", gc.SoftLimit)
	add("gc_cycles", gc.Cycles)
	add("gc_cpu_percent", fmt.Sprintf("%.2f", 100*gc.CPUShare))
}

func infoCPU(_ info, add addField) {
	usage := process.Used()
	add("used_cpu_sys", fmt.Sprintf("%.6f", float64(usage.SystemMicros)/1e6))
	add("used_cpu_user", fmt.Sprintf("%.6f", float64(usage.UserMicros)/1e6))
}

// human writes bytes as Redis does: 1.50M.
func human(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	const units = "KMGT"
	value, i := float64(n)/1024, 0
	for ; value >= 1024 && i < len(units)-1; i++ {
		value /= 1024
	}
	return fmt.Sprintf("%.2f%c", value, units[i])
}

func infoPersistence(s info, add addField) {
	if s.replicator != nil {
		s.replicator.Info("persistence", add)
		return
	}
	add("loading", 0)
	add("rdb_bgsave_in_progress", 0)
	add("aof_enabled", 0)
	add("aof_rewrite_in_progress", 0)
}

func infoStats(s info, add addField) {
	counted := s.limiter.Stats()
	evicted := counted.Evicted - s.stats.evictedBefore.Load()
	traffic, rates := &s.wire.Traffic, &s.stats.rates
	kilobytes := func(r *rate) string { return fmt.Sprintf("%.2f", float64(r.grown.Load())/1024) }
	add("total_connections_received", s.stats.connections.Load())
	add("total_commands_processed", s.stats.commands.Load())
	add("instantaneous_ops_per_sec", rates.commands.grown.Load())
	add("total_net_input_bytes", traffic.BytesIn.Load())
	add("total_net_output_bytes", traffic.BytesOut.Load())
	add("instantaneous_input_kbps", kilobytes(&rates.bytesIn))
	add("instantaneous_output_kbps", kilobytes(&rates.bytesOut))
	add("total_reads_processed", traffic.Reads.Load())
	add("total_writes_processed", traffic.Writes.Load())
	add("rejected_connections", s.stats.rejected.Load())
	add("timeout_disconnections", s.stats.idle.Load())
	add("write_timeout_disconnections", s.stats.stuck.Load())
	add("expired_keys", counted.Reclaimed-s.stats.reclaimedBefore.Load())
	add("evicted_keys", evicted) // what Redis's tools look for
	add("evicted_live_keys", evicted)
	add("keyspace_hits", s.stats.hits.Load())
	add("keyspace_misses", s.stats.misses.Load())
	add("denied_shadow", s.stats.deniedShadow.Load())
	if s.replicator != nil {
		s.replicator.Info("stats", add)
	}
	add("pubsub_channels", s.pubsub.distinct(byChannel))
	add("pubsubshard_channels", s.pubsub.distinct(byShard))
	add("pubsub_patterns", s.pubsub.distinct(byPattern))
	add("client_output_buffer_limit_disconnections", s.stats.cutOff.Load())
	add("total_error_replies", s.stats.errors.total.Load())
	add("protocol_errors", s.stats.protocolErrors.Load())
	add("handler_panics", s.stats.panics.Load())
	add("slowlog_entries", len(s.slowlog.newest(-1)))
}

func infoReplication(s info, add addField) {
	if s.replicator != nil {
		s.replicator.Info("replication", add)
		return
	}
	add("role", "master")
	add("connected_slaves", 0)
}

func infoLimiter(s info, add addField) {
	counted := s.limiter.Stats()
	add("backend", s.config().Backend)
	add("keys", counted.Keys)
	add("contended_swaps", counted.Contended)
	add("tables_rebuilt", counted.Rebuilt)
	add("max_log_limit", s.config().MaxLogLimit)
	add("policies", s.policies.set.Policies())
	add("policy_overrides", s.policies.set.Overrides())
	add("policies_version", s.policies.set.Version())
}

// mode is whether clients are to take the server for a Redis Cluster.
func (s *Server) mode() string {
	if s.config().ClusterEmulated {
		return "cluster"
	}
	return "standalone"
}

func infoCluster(s info, add addField) {
	enabled := 0
	if s.config().ClusterEmulated {
		enabled = 1
	}
	add("cluster_enabled", enabled)
}

func infoBackend(s info, add addField) { s.backend.Info(add) }

func infoCommandStats(s info, add addField) {
	s.table.each(func(c *command) {
		n := c.stats.Load()
		calls, rejected, failed := n.calls.Load(), n.rejected.Load(), n.failed.Load()
		if calls+rejected+failed > 0 {
			add("cmdstat_"+c.fullName(), fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
				calls, n.nanos.Load()/1000, n.microsPerCall(), rejected, failed))
		}
	})
}

func infoErrorStats(s info, add addField) {
	counts := s.stats.errors.all()
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		add("errorstat_"+code, fmt.Sprintf("count=%d", counts[code].Load()))
	}
}

func infoLatencyStats(s info, add addField) {
	s.table.each(func(c *command) {
		if h := c.stats.Load().latencies.Load(); h != nil {
			p := h.micros(50, 99, 99.9)
			add("latency_percentiles_usec_"+c.fullName(), fmt.Sprintf("p50=%.3f,p99=%.3f,p99.9=%.3f", p[0], p[1], p[2]))
		}
	})
}

func infoKeyspace(s info, add addField) {
	if keys := s.limiter.Len(); keys > 0 {
		add("db0", fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", keys, keys))
	}
}

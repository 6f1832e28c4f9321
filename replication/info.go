package replication

import (
	"fmt"
	"time"
)

// A Role is what a node is to others.
type Role struct {
	Replica bool
	// Of a replica: its primary, and the link to it.
	Host     string
	Port     int
	State    string
	Offset   int64
	Replicas []ReplicaInfo
}

// A ReplicaInfo is one replica.
type ReplicaInfo struct {
	IP     string
	Port   int
	Offset int64 // that it has acknowledged
}

// Role tells what the node is.
func (n *Node) Role() Role {
	n.feed.mu.Lock()
	r := Role{Offset: n.feed.at.offset}
	n.feed.mu.Unlock()
	if l := n.link.Load(); l != nil {
		r.Replica, r.Host, r.Port, r.State = true, l.host, l.port, l.state().String()
	}
	for _, l := range n.replicas.all() {
		r.Replicas = append(r.Replicas, ReplicaInfo{l.IP, l.Port, l.acked.Load()})
	}
	return r
}

// Info tells what INFO shows in the sections "persistence" and "replication", by Redis's names.
func (n *Node) Info(section string, add func(name string, value any)) {
	switch section {
	case "persistence":
		n.infoPersistence(add)
	case "replication":
		n.infoRole(add)
		n.infoHistory(add)
	}
}

func (n *Node) infoPersistence(add func(name string, value any)) {
	f := n.feed
	f.mu.Lock()
	changes, trouble, logging := f.changes, f.log.trouble(), f.log.on
	f.mu.Unlock()
	var s diskStats
	if d := n.disk(); d != nil {
		s = d.stats()
	}
	add("loading", 0)
	add("rdb_changes_since_last_save", changes)
	add("rdb_bgsave_in_progress", bit(s.saving))
	add("rdb_last_save_time", s.saved)
	add("rdb_last_bgsave_status", status(s.saveErr))
	add("rdb_last_bgsave_time_sec", s.saveSeconds)
	add("aof_enabled", bit(logging))
	add("aof_rewrite_in_progress", bit(s.rewriting))
	add("aof_rewrite_scheduled", 0)
	add("aof_rewrites", s.rewrites)
	add("aof_last_rewrite_time_sec", s.rewriteSeconds)
	add("aof_last_bgrewrite_status", status(s.rewriteErr))
	add("aof_last_write_status", status(trouble))
	if trouble != nil {
		add("aof_last_write_error", trouble)
	}
	if logging {
		add("aof_current_size", s.baseBytes+s.incrementBytes)
		add("aof_base_size", s.baseBytes)
		add("aof_unsynced", bit(s.unsynced))
		add("aof_truncated_bytes", s.cutBytes)
	}
}

func (n *Node) infoRole(add func(name string, value any)) {
	t := n.tuning.Load()
	n.feed.mu.Lock()
	offset := n.feed.at.offset
	n.feed.mu.Unlock()
	if l := n.link.Load(); l == nil {
		add("role", "master")
	} else {
		up, now := l.state() == linkConnected, time.Now().UnixMilli()
		add("role", "slave")
		add("master_host", l.host)
		add("master_port", l.port)
		add("master_link_status", map[bool]string{true: "up", false: "down"}[up])
		if up {
			add("master_last_io_seconds_ago", max(now-l.heard.Load(), 0)/1000)
		} else {
			add("master_last_io_seconds_ago", -1)
		}
		add("master_sync_in_progress", bit(l.state() == linkSync))
		add("slave_read_repl_offset", offset)
		add("slave_repl_offset", offset)
		if !up {
			since := l.down.Load()
			if since == 0 {
				since = now
			}
			add("master_link_down_since_seconds", max(now-since, 0)/1000)
		}
		add("slave_priority", t.Priority)
		add("slave_read_only", 1)
		add("replica_announced", 1)
	}
	links := n.replicas.all()
	add("connected_slaves", len(links))
	if t.MinReplicas > 0 {
		add("min_slaves_good_slaves", n.replicas.good(t.MinReplicasLag))
	}
	for i, l := range links {
		state := "send_bulk"
		if l.online.Load() {
			state = "online"
		}
		lag := max(time.Now().UnixMilli()-l.heard.Load(), 0) / 1000
		add(fmt.Sprint("slave", i), fmt.Sprintf("ip=%s,port=%d,state=%s,offset=%d,lag=%d", l.IP, l.Port, state, l.acked.Load(), lag))
	}
}

func (n *Node) infoHistory(add func(name string, value any)) {
	f := n.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	past, second := f.past.id, f.past.offset
	if past == "" {
		past, second = "0000000000000000000000000000000000000000", -1
	}
	add("master_failover_state", "no-failover")
	add("master_replid", f.at.id)
	add("master_replid2", past)
	add("master_repl_offset", f.at.offset)
	add("second_repl_offset", second)
	add("repl_backlog_active", bit(f.serving))
	add("repl_backlog_size", f.backlog.limit)
	add("repl_backlog_first_byte_offset", f.backlog.begin)
	add("repl_backlog_histlen", f.backlog.end-f.backlog.begin)
	add("sync_full", n.replicas.full.Load())
	add("sync_partial_ok", n.replicas.partial.Load())
	add("sync_partial_err", n.replicas.refused.Load())
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func status(err error) string {
	if err != nil {
		return "err"
	}
	return "ok"
}

package replication

// Primary is the primary that this node follows, and how far the link to it is, as ROLE names
// that. An empty host: this node is a primary. None of these methods waits for the disk.
func (n *Node) Primary() (host string, port int, state string) {
	if l := n.link.Load(); l != nil {
		return l.Host, l.Port, l.State()
	}
	return "", 0, ""
}

// Above are the run ids of the servers that this one follows: of its primary, of the primary of that,
// and so on, as far as they are known.
func (n *Node) Above() []string {
	if l := n.link.Load(); l != nil {
		return l.Above()
	}
	return nil
}

// Offset is where the stream of changes ends.
func (n *Node) Offset() int64 { return n.feed.Offset() }

// EachReplica visits the replicas: where each listens, and up to where it has acknowledged the
// stream.
func (n *Node) EachReplica(visit func(ip string, port int, offset int64)) { n.replicas.Each(visit) }

// Info tells what INFO shows in the sections "persistence", "replication" and "stats", by Redis's names.
func (n *Node) Info(section string, add func(name string, value any)) {
	switch section {
	case "persistence":
		n.feed.Lock()
		defer n.feed.Unlock()
		n.log.Info(n.feed.Unsaved(), n.LastSave(), add)
	case "replication":
		n.infoRole(add)
		add("master_failover_state", "no-failover")
		n.feed.Info(add)
	case "stats":
		n.replicas.InfoSyncs(add)
	}
}

func (n *Node) infoRole(add func(name string, value any)) {
	t := n.tuning.Load()
	if l := n.link.Load(); l == nil {
		add("role", "master")
	} else {
		add("role", "slave")
		l.Info(add)
		add("slave_priority", t.Priority)
		add("slave_read_only", 1)
		add("replica_announced", 1)
	}
	add("connected_slaves", n.replicas.Count())
	if t.MinReplicas > 0 {
		add("min_slaves_good_slaves", n.replicas.Good(t.MinReplicasLag))
	}
	n.replicas.Info(add)
}

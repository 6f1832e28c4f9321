package replication

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

// Role tells what the node is. It never waits for the disk.
func (n *Node) Role() Role {
	r := Role{Offset: n.feed.Offset()}
	if l := n.link.Load(); l != nil {
		r.Replica, r.Host, r.Port, r.State = true, l.Host, l.Port, l.State().String()
	}
	n.replicas.Each(func(ip string, port int, offset int64) {
		r.Replicas = append(r.Replicas, ReplicaInfo{ip, port, offset})
	})
	return r
}

// Info tells what INFO shows in the sections "persistence" and "replication", by Redis's names.
func (n *Node) Info(section string, add func(name string, value any)) {
	switch section {
	case "persistence":
		n.feed.Lock()
		defer n.feed.Unlock()
		n.log.Info(n.feed.Unsaved(), add)
	case "replication":
		n.infoRole(add)
		add("master_failover_state", "no-failover")
		n.feed.Info(add)
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

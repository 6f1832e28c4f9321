package server

import (
	"math"
	"net"
	"strconv"
	"time"

	"github.com/rlserver/rlserver/server/config"
)

// Commands about primaries and replicas.

// cmdReplicaOf is REPLICAOF and SLAVEOF: host port, or NO ONE.
func cmdReplicaOf(r *request, replicator Replicator) {
	var primary config.Address
	if !equalFold(r.args[1], "no") || !equalFold(r.args[2], "one") {
		if primary.Host = r.arg(1); primary.Host == "" || !config.IsHost(primary.Host) {
			r.fail(errPrimaryHost)
			return
		}
		if !config.Int(&primary.Port, 1, math.MaxUint16).Set(r.arg(2)) {
			r.fail(errPrimaryPort)
			return
		}
	}
	done := "OK"
	var err error
	_ = r.server.changeConfig(func(cfg *config.Config) bool { // the role and the setting change together
		role := replicator.Role()
		switch {
		case role.Replica && equalFold(primary.Host, role.Host) && primary.Port == role.Port:
			done = "OK Already connected to specified master"
		case role.Replica || primary.Host != "":
			err = replicator.Follow(primary.Host, primary.Port)
		}
		cfg.Primary = primary
		return err == nil
	})
	r.writeOutcome(err, done)
}

func (s *Server) role() Role {
	if s.replicator == nil {
		return Role{}
	}
	return s.replicator.Role()
}

func cmdRole(r *request) {
	role := r.server.role()
	if role.Replica {
		r.conn.WriteArray(5)
		r.conn.WriteBulkString("slave")
		r.conn.WriteBulkString(role.Host)
		r.conn.WriteInt(role.Port)
		r.conn.WriteBulkString(role.State)
		r.conn.WriteInt64(role.Offset)
		return
	}
	r.conn.WriteArray(3)
	r.conn.WriteBulkString("master")
	r.conn.WriteInt64(role.Offset)
	r.conn.WriteArray(len(role.Replicas))
	for _, replica := range role.Replicas {
		r.writeStrings([]string{replica.IP, strconv.Itoa(replica.Port), strconv.FormatInt(replica.Offset, 10)})
	}
}

// waitTimeoutMax bounds the timeout of WAIT, which is in milliseconds.
const waitTimeoutMax = math.MaxInt64 / time.Millisecond

// cmdWait waits until replicas have what the server has told of so far.
func cmdWait(r *request, replicator Replicator) {
	replicas, ok := wholeNumber(r.args[1])
	if !ok {
		r.fail(errNotInteger)
		return
	}
	millis, ok := wholeNumber(r.args[2])
	switch {
	case !ok || millis > int64(waitTimeoutMax):
		r.fail(errTimeoutInteger)
		return
	case millis < 0:
		r.fail(errTimeoutNegative)
		return
	case replicator.Role().Replica:
		r.fail(errWaitReplica)
		return
	}
	c := r.client
	r.replyLater(&later{
		find: func(done func(func(*client))) {
			c.abandon = replicator.Wait(int(min(replicas, math.MaxInt32)), time.Duration(millis)*time.Millisecond, func(n int) {
				done(func(c *client) { c.conn.WriteInt(n) })
			})
		},
		giveUp: func(c *client) { c.conn.WriteInt(0) }, // none is known to have it
	})
}

// cmdReplConf is what a replica tells of itself before RL.SYNC.
func cmdReplConf(r *request, _ Replicator) {
	if len(r.args)%2 == 0 {
		r.fail(errSyntax)
		return
	}
	for i := 1; i < len(r.args); i += 2 {
		value := r.arg(i + 1)
		switch lower(r.args[i]) {
		case "listening-port":
			if !config.Int(&r.announced.Port, 0, math.MaxUint16).Set(value) {
				r.fail(errNotInteger)
				return
			}
		case "ip-address":
			if !config.IsHost(value) {
				r.fail(errReplicaHost)
				return
			}
			r.announced.Host = value
		case "capa": // what else it understands; there is nothing to choose
		default:
			r.fail(errReplConf(r.args[i]))
			return
		}
	}
	r.writeOK()
}

// cmdSync makes the connection a replica's. It leaves the way of question and answer, and the
// replicator answers.
func cmdSync(r *request, _ Replicator) {
	link := ReplicaLink{IP: r.announced.Host, Port: r.announced.Port, ID: r.arg(2)}
	problem := ""
	switch offset, ok := wholeNumber(r.args[3]); {
	case !config.Int(&link.Version, 1, math.MaxInt32).Set(r.arg(1)):
		problem = errSyncVersion
	case !isStreamID(link.ID):
		problem = errSyncID
	case !ok || offset < -1:
		problem = errSyncOffset
	case r.pushes != nil:
		problem = errSyncDetached
	default:
		link.Offset = offset
	}
	if problem != "" {
		r.fail(problem)
		return
	}
	if link.IP == "" { // what the primary sees
		link.IP, _, _ = net.SplitHostPort(r.addr)
	}
	r.link = &link
	r.conn.Detach()
}

// isStreamID says whether s can be the id of a stream of changes: 40 hexadecimal digits, or ?
// for none.
func isStreamID(s string) bool {
	if s == "?" {
		return true
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 40
}

// serveReplica hands a connection that has sent RL.SYNC to the replicator, until it ends. The
// server does not drain it: the last changes must still reach the replica, and the replicator
// ends it then.
func (s *Server) serveReplica(c *client, conn *conn) {
	if conn.framer.r != conn.framer.w { // a replica sends nothing before it is answered
		conn.WriteError(errSyncMore)
		s.part(conn)
		return
	}
	c.isReplica.Store(true)
	s.serving.Done()
	_ = conn.nc.SetReadDeadline(time.Time{})
	c.link.Conn = conn.nc
	s.replicator.ServeReplica(*c.link)
}

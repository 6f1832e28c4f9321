package server

import (
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rlserver/rlserver/server/config"
)

// Commands about the disk, about primaries and replicas, and the end of the server.

// cmdReplicaOf is REPLICAOF and SLAVEOF: host port, or NO ONE.
func cmdReplicaOf(r *request, replicator Replicator) {
	var primary config.Address
	if !equalFold(r.args[1], "no") || !equalFold(r.args[2], "one") {
		if primary.Host = r.arg(1); !config.IsHost(primary.Host) {
			r.fail(errPrimaryHost)
			return
		}
		if !config.Int(&primary.Port, 1, math.MaxUint16).Set(r.arg(2)) {
			r.fail(errPrimaryPort)
			return
		}
		if isSelf(r.server.config(), primary) {
			r.fail(errPrimarySelf)
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

// isSelf says whether an address is one that the server listens on. It may listen on others: a name,
// or what forwards to it, is found out when the link comes up.
func isSelf(cfg *config.Config, a config.Address) bool {
	if a.Host == "" || a.Port != cfg.Port && a.Port != cfg.TLSPort {
		return false
	}
	ip, err := netip.ParseAddr(a.Host)
	loopback := equalFold([]byte(a.Host), "localhost") || err == nil && ip.IsLoopback()
	return slices.ContainsFunc(cfg.Bind, func(host string) bool {
		own, wrong := netip.ParseAddr(host)
		switch {
		case wrong != nil: // localhost
			return loopback
		case own.IsUnspecified():
			return loopback || err == nil && isOfMachine(ip)
		}
		return err == nil && own == ip || err != nil && loopback && own.IsLoopback()
	})
}

// isOfMachine says whether an interface of this machine has the address.
func isOfMachine(ip netip.Addr) bool {
	addrs, _ := net.InterfaceAddrs() // none if unknown
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		own, err := netip.ParsePrefix(a.String())
		return err == nil && own.Addr() == ip.Unmap()
	})
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
		r.reply.Value([]any{"slave", role.Host, role.Port, role.State, role.Offset})
		return
	}
	replicas := []any{}
	for _, replica := range role.Replicas {
		replicas = append(replicas, []string{replica.IP, strconv.Itoa(replica.Port), strconv.FormatInt(replica.Offset, 10)})
	}
	r.reply.Value([]any{"master", role.Offset, replicas})
}

// waitTimeoutMax bounds the timeout of WAIT, which is in milliseconds.
const waitTimeoutMax = math.MaxInt64 / time.Millisecond

// cmdWait waits until replicas have acknowledged every change so far.
func cmdWait(r *request, replicator Replicator) {
	replicas, isNumber := wholeNumber(r.args[1])
	millis, ok := wholeNumber(r.args[2])
	switch {
	case !isNumber:
		r.fail(errNotInteger)
		return
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
	r.replyLong(&longReply{
		find: func(done func(func(*session))) (abandon func()) {
			return replicator.Wait(int(min(replicas, math.MaxInt32)), time.Duration(millis)*time.Millisecond, func(n int) {
				done(func(c *session) { c.reply.Int(n) })
			})
		},
		giveUp: func(c *session) { c.reply.Int(0) }, // no replica is known to have it
	})
}

// cmdReplConf notes what a replica announces before RL.SYNC.
func cmdReplConf(r *request, replicator Replicator) {
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
		case "above": // which servers this one follows, and its own run id before them
			r.reply.Simple(strings.Join(append([]string{r.server.runID}, replicator.Role().Above...), " "))
			return
		case "capa": // its capabilities; there is nothing to choose
		default:
			r.fail(errReplConf(r.args[i]))
			return
		}
	}
	r.reply.OK()
}

// cmdSync makes the connection a replica's: the replicator serves it from now on. The server does not
// drain it. The last changes must still reach the replica, and the replicator ends it then.
func cmdSync(r *request, replicator Replicator) {
	link := ReplicaLink{IP: r.announced.Host, Port: r.announced.Port, ID: r.arg(2)}
	problem := ""
	switch offset, ok := wholeNumber(r.args[3]); {
	case !config.Int(&link.Version, 1, math.MaxInt32).Set(r.arg(1)):
		problem = errSyncVersion
	case !isStreamID(link.ID):
		problem = errSyncID
	case !ok || offset < -1:
		problem = errSyncOffset
	case r.conn.Detached():
		problem = errSyncDetached
	default:
		link.Offset = offset
	}
	if problem != "" {
		r.fail(problem)
		return
	}
	if link.IP == "" { // the address that the primary sees
		link.IP, _, _ = net.SplitHostPort(r.addr)
	}
	c := r.session
	r.conn.HandOver(errSyncMore, func(nc net.Conn) {
		c.isReplica.Store(true)
		link.Conn = nc
		replicator.ServeReplica(link)
	})
}

// isStreamID says whether s can be the id of a stream of changes: 40 hexadecimal digits, or ?
// for none.
func isStreamID(s string) bool {
	return s == "?" || len(s) == 40 && strings.Trim(s, "0123456789abcdef") == ""
}

// A ShutdownSave says whether SHUTDOWN is to leave a snapshot.
type ShutdownSave uint8

// The arguments of SHUTDOWN.
const (
	SaveIfConfigured ShutdownSave = iota // if the setting save is not empty
	SaveAlways
	SaveNever
)

// OnShutdown has SHUTDOWN call stop, which is to end Serve's context. It comes before Serve.
func (s *Server) OnShutdown(stop func(ShutdownSave)) { s.shutdown = stop }

// replicated is the handler of a command that needs a replicator.
func replicated(run func(*request, Replicator)) func(*request) {
	return func(r *request) {
		switch s := r.server; {
		case s.replicator != nil:
			run(r, s.replicator)
		case s.backend != nil:
			r.fail(errNotHere(r.command, s.config().Backend))
		default:
			r.fail(errNoReplicator(r.command))
		}
	}
}

// cmdSave makes its own connection wait, and no other.
func cmdSave(r *request, replicator Replicator) {
	r.replyLong(&longReply{find: func(done func(func(*session))) func() {
		go func() {
			err := replicator.Save()
			done(func(c *session) { c.request.writeOutcome(err, "OK") })
		}()
		return nil
	}})
}

// writeOutcome replies an error, or that the command is done.
func (r *request) writeOutcome(err error, done string) {
	if err != nil {
		r.fail(errReplicator(err))
	} else {
		r.reply.Simple(done)
	}
}

// cmdBackgroundSave accepts SCHEDULE, which in Redis waits for a rewrite of the append-only file.
// Here the two can run at once.
func cmdBackgroundSave(r *request, replicator Replicator) {
	if len(r.args) > 2 || len(r.args) == 2 && !equalFold(r.args[1], "schedule") {
		r.fail(errSyntax)
		return
	}
	r.writeOutcome(replicator.BackgroundSave(), "Background saving started")
}

func cmdRewriteAppendOnly(r *request, replicator Replicator) {
	r.writeOutcome(replicator.Rewrite(), "Background append only file rewriting started")
}

func cmdLastSave(r *request, replicator Replicator) { r.reply.Int64(replicator.LastSave()) }

// cmdShutdown ends the server as SIGTERM does. There is no reply but the connection's end.
func cmdShutdown(r *request) {
	save := SaveIfConfigured
	switch {
	case len(r.args) == 1:
	case len(r.args) == 2 && equalFold(r.args[1], "save"):
		save = SaveAlways
	case len(r.args) == 2 && equalFold(r.args[1], "nosave"):
		save = SaveNever
	default:
		r.fail(errSyntax)
		return
	}
	switch s := r.server; {
	case s.shutdown == nil:
		r.fail(errNoShutdown)
	case save == SaveAlways && s.replicator == nil:
		r.fail(errNoReplicator(r.command))
	default:
		s.logger.Info("shutdown was asked for", "addr", r.addr)
		s.shutdown(save)
		r.conn.HangUp()
	}
}

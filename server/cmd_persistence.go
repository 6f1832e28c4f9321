package server

// Commands about the disk.

// A ShutdownSave says whether SHUTDOWN is to leave a snapshot.
type ShutdownSave uint8

// What SHUTDOWN can ask for.
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
		case s.remote != nil:
			r.fail(errNotHere(r.command, s.config().Backend))
		default:
			r.fail(errNoReplicator(r.command))
		}
	}
}

// cmdSave blocks its own connection, and no other.
func cmdSave(r *request, replicator Replicator) {
	r.replyLater(&later{find: func(done func(func(*client))) {
		go func() {
			err := replicator.Save()
			done(func(c *client) { c.writeOutcome(err, "OK") })
		}()
	}})
}

// writeOutcome replies an error, or that something has gone well.
func (c *client) writeOutcome(err error, done string) {
	if err != nil {
		c.server.refuse(c, errReplicator(err))
	} else {
		c.conn.WriteString(done)
	}
}

// cmdBackgroundSave takes SCHEDULE, which in Redis waits for a rewrite of the append-only file;
// here the two do not stand in each other's way.
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

func cmdLastSave(r *request, replicator Replicator) { r.conn.WriteInt64(replicator.LastSave()) }

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
		r.hangUp()
	}
}

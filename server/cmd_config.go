package server

import (
	"errors"
	"slices"
	"strings"

	"github.com/rlserver/rlserver/server/config"
)

// compatibility are parameters that CONFIG GET answers because redis-cli, redis-benchmark
// and client libraries ask for them. They cannot be set.
var compatibility = [][2]string{
	{"databases", "1"},
	{"maxmemory-policy", maxMemoryPolicy},
	{"replica-read-only", "yes"},
	{"slave-read-only", "yes"},
	{"replica-serve-stale-data", "yes"},
	{"slave-serve-stale-data", "yes"},
	{"latency-tracking", "yes"},
	{"latency-tracking-info-percentiles", "50 99 99.9"},
}

// oldNames are names that Redis still takes for settings that it has renamed.
var oldNames = [][2]string{
	{"slaveof", config.NameReplicaOf},
	{"slave-priority", "replica-priority"},
	{"slave-announce-ip", "replica-announce-ip"},
	{"slave-announce-port", "replica-announce-port"},
	{"min-slaves-to-write", "min-replicas-to-write"},
	{"min-slaves-max-lag", "min-replicas-max-lag"},
}

// presentName is the name of the setting that a word names, in any case.
func presentName(word []byte) string {
	name := lower(word)
	for _, pair := range oldNames {
		if pair[0] == name {
			return pair[1]
		}
	}
	return name
}

// maxMemoryPolicy is Redis's nearest name for eviction at maxmemory: of a sample, the key with the
// least time left is evicted first.
const maxMemoryPolicy = "volatile-ttl"

func cmdConfigGet(r *request) {
	var pairs [][2]string
	add := func(name, value string) {
		for _, pattern := range r.args[2:] {
			switch {
			case equalFold(pattern, name): // a name, no pattern: the reply has it as the client wrote it
				pairs = append(pairs, [2]string{string(pattern), value})
				return
			case globMatch(lower(pattern), name):
				pairs = append(pairs, [2]string{name, value})
				return
			}
		}
	}
	for _, setting := range r.server.config().Settings() {
		add(setting.Name, setting.Get())
		for _, pair := range oldNames {
			if pair[1] == setting.Name {
				add(pair[0], setting.Get())
			}
		}
	}
	for _, pair := range compatibility {
		add(pair[0], pair[1])
	}
	r.reply.Map(len(pairs))
	for _, pair := range pairs {
		r.reply.BulkString(pair[0])
		r.reply.BulkString(pair[1])
	}
}

// cmdConfigSet changes all of the settings or none. It works on a copy, which becomes the
// configuration in one step.
func cmdConfigSet(r *request) {
	if len(r.args)%2 != 0 {
		r.fail(errSyntax)
		return
	}
	if problem := r.server.setLive(r.args[2:], enoughDescriptors); problem != "" {
		r.fail(problem)
		return
	}
	r.server.noteChanged(r.args[2:])
	r.holds = r.server.holds() // for the commands behind this one
	r.reply.OK()
}

// setLive changes settings while the server runs: all of them, or none if there is a problem, with
// one of them or with what check finds.
func (s *Server) setLive(pairs [][]byte, check func(before, after *config.Config) (problem string)) (problem string) {
	err := s.changeConfig(func(cfg *config.Config) bool {
		if problem = s.applySettings(cfg.Settings(), pairs); problem == "" {
			problem = check(s.config(), cfg)
		}
		return problem == ""
	})
	if err != nil { // only a section about the disk returns one
		problem = errConfig(config.NameAppendOnly, plainly(err))
	}
	return problem
}

// Reconfigure changes settings while the server runs, as CONFIG SET does: all of them, or none if there
// is an error.
func (s *Server) Reconfigure(values [][2]string) error {
	var pairs [][]byte
	for _, pair := range values {
		pairs = append(pairs, []byte(pair[0]), []byte(pair[1]))
	}
	all := func(_, _ *config.Config) string { return "" }
	if problem := s.setLive(pairs, all); problem != "" {
		return errors.New(strings.TrimPrefix(problem, "ERR "))
	}
	return s.fitClients() // as at the start
}

// enoughDescriptors finds that there are too few descriptors for a maxclients that was raised.
func enoughDescriptors(before, after *config.Config) (problem string) {
	if after.MaxClients <= before.MaxClients {
		return ""
	}
	if most := clientsMax(after.MaxClients); most < after.MaxClients {
		return errConfig("maxclients", errTooManyClients(most))
	}
	return ""
}

// noteChanged notes settings that CONFIG REWRITE has to write.
func (s *Server) noteChanged(pairs [][]byte) {
	s.changing.Lock()
	defer s.changing.Unlock()
	for i := 0; i < len(pairs); i += 2 {
		s.changed[presentName(pairs[i])] = true
	}
}

// applySettings sets the values of pairs in rows, up to the first problem.
func (s *Server) applySettings(rows []config.Setting, pairs [][]byte) (problem string) {
	done := map[string]bool{}
	for i := 0; i < len(pairs); i += 2 {
		setting, known := config.Find(rows, presentName(pairs[i]))
		name, given, value := lower(pairs[i]), string(pairs[i]), string(pairs[i+1])
		switch {
		case done[name]:
			return errConfig(given, "duplicate parameter")
		case !known && !isCompatibility(name):
			return "ERR Unknown option or number of arguments for CONFIG SET - '" + given + "'"
		case !known || !setting.Live:
			return errConfig(given, "can't set immutable config")
		case s.replicator == nil && (setting.Group == config.Persistence || setting.Group == config.Replication):
			return errConfig(given, errMemoryOnly)
		}
		done[name] = true
		if err := setting.Set(value); err != nil {
			return errConfig(given, err.Error())
		}
	}
	return ""
}

func isCompatibility(name string) bool {
	return slices.ContainsFunc(compatibility, func(pair [2]string) bool { return pair[0] == name })
}

// OnConfigRewrite has CONFIG REWRITE call rewrite, with the values of the settings that were
// changed while running. It writes them to file, which INFO names. It comes before Serve.
func (s *Server) OnConfigRewrite(file string, rewrite func(changed map[string]string) error) {
	s.configFile, s.rewrite = file, rewrite
}

// cmdConfigRewrite writes the settings that CONFIG SET has changed, and the role: REPLICAOF changes
// that one, sent by an operator or by Sentinel.
func cmdConfigRewrite(r *request) {
	s := r.server
	if s.rewrite == nil {
		r.fail(errNoConfigFile)
		return
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	values := map[string]string{}
	for _, row := range s.config().Settings() {
		if s.changed[row.Name] || row.Name == config.NameReplicaOf && s.replicator != nil {
			values[row.Name] = row.Get()
		}
	}
	if err := s.rewrite(values); err != nil {
		s.logger.Error("cannot rewrite the configuration file", "error", err)
		r.fail(errRewrite(err))
		return
	}
	r.reply.OK()
}

func cmdConfigResetStat(r *request) {
	r.server.stats.reset()
	r.server.wire.Traffic.Reset()
	counted := r.server.limiter.Stats()
	r.server.stats.reclaimedBefore.Store(counted.Reclaimed)
	r.server.stats.evictedBefore.Store(counted.Evicted)
	r.server.table.each(func(c *command) { c.stats.Store(&commandStats{}) })
	r.reply.OK()
}

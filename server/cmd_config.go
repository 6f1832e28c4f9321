package server

import (
	"slices"

	"github.com/rlserver/rlserver/server/config"
)

// compatibility are parameters that CONFIG GET answers because redis-cli, redis-benchmark
// and client libraries ask for them. They cannot be set.
var compatibility = [][2]string{
	{"databases", "1"},
	{"maxmemory-policy", maxMemoryPolicy},
	{"replica-read-only", "yes"},
	{"slave-read-only", "yes"},
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
	problem := ""
	err := r.server.changeConfig(func(cfg *config.Config) bool {
		problem = r.server.applySettings(cfg.Settings(), r.args[2:])
		return problem == ""
	})
	if err != nil { // only a section about the disk returns one
		problem = errConfig(config.NameAppendOnly, plainly(err))
	}
	if problem != "" {
		r.fail(problem)
		return
	}
	r.server.noteChanged(r.args[2:])
	r.holds = r.server.holds() // for the commands behind this one
	r.reply.OK()
}

// noteChanged notes settings that CONFIG REWRITE has to write.
func (s *Server) noteChanged(pairs [][]byte) {
	s.changing.Lock()
	defer s.changing.Unlock()
	for i := 0; i < len(pairs); i += 2 {
		s.changed[lower(pairs[i])] = true
	}
}

// applySettings sets the values of pairs in rows, up to the first problem.
func (s *Server) applySettings(rows []config.Setting, pairs [][]byte) (problem string) {
	done := map[string]bool{}
	for i := 0; i < len(pairs); i += 2 {
		name, value := lower(pairs[i]), string(pairs[i+1])
		setting, known := config.Find(rows, name)
		switch {
		case done[name]:
			return errConfig(name, "duplicate parameter")
		case !known && !isCompatibility(name):
			return "ERR Unknown option or number of arguments for CONFIG SET - '" + string(pairs[i]) + "'"
		case !known || !setting.Live:
			return errConfig(name, "can't set immutable config")
		case s.replicator == nil && (setting.Group == config.Persistence || setting.Group == config.Replication):
			return errConfig(name, errMemoryOnly)
		}
		done[name] = true
		if err := setting.Set(value); err != nil {
			return errConfig(name, err.Error())
		}
	}
	return ""
}

func isCompatibility(name string) bool {
	return slices.ContainsFunc(compatibility, func(pair [2]string) bool { return pair[0] == name })
}

// OnConfigRewrite has CONFIG REWRITE call rewrite, with the values of the settings that were
// changed while running. It comes before Serve.
func (s *Server) OnConfigRewrite(rewrite func(changed map[string]string) error) { s.rewrite = rewrite }

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
	counted := r.server.limiter.Stats()
	r.server.stats.reclaimedBefore.Store(counted.Reclaimed)
	r.server.stats.evictedBefore.Store(counted.Evicted)
	r.server.table.each(func(c *command) { c.stats.Store(&commandStats{}) })
	r.reply.OK()
}

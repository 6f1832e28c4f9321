package server

// compatibility are parameters that CONFIG GET answers because redis-cli, redis-benchmark
// and client libraries ask for them. They cannot be set.
var compatibility = [][2]string{
	{"databases", "1"},
	{"maxmemory-policy", maxMemoryPolicy},
	{"replica-read-only", "yes"},
	{"slave-read-only", "yes"},
}

// maxMemoryPolicy is Redis's name for what comes nearest to what happens at maxmemory: of a
// sample, the key with the least time left is forgotten first.
const maxMemoryPolicy = "volatile-ttl"

func cmdConfigGet(r *request) {
	cfg := r.server.config()
	var pairs [][2]string
	add := func(name, value string) {
		for _, pattern := range r.args[2:] {
			switch {
			case equalFold(pattern, name): // named, not matched: echoed as it was asked
				pairs = append(pairs, [2]string{string(pattern), value})
				return
			case globMatch(lower(pattern), name):
				pairs = append(pairs, [2]string{name, value})
				return
			}
		}
	}
	for _, setting := range Settings {
		add(setting.Name, setting.Get(cfg))
	}
	for _, pair := range compatibility {
		add(pair[0], pair[1])
	}
	r.writeMap(len(pairs))
	for _, pair := range pairs {
		r.conn.WriteBulkString(pair[0])
		r.conn.WriteBulkString(pair[1])
	}
}

// cmdConfigSet changes all of the settings or none: it works on a copy, which becomes the
// configuration in one step.
func cmdConfigSet(r *request) {
	if len(r.args)%2 != 0 {
		r.fail(errSyntax)
		return
	}
	problem := ""
	r.server.changeConfig(func(cfg *Config) bool {
		problem = applySettings(cfg, r.args[2:])
		return problem == ""
	})
	if problem != "" {
		r.fail(problem)
		return
	}
	r.writeOK()
}

func applySettings(cfg *Config, pairs [][]byte) (problem string) {
	done := map[string]bool{}
	for i := 0; i < len(pairs); i += 2 {
		asked, name, value := string(pairs[i]), lower(pairs[i]), string(pairs[i+1])
		setting, known := SettingByName(name)
		switch {
		case done[name]:
			return errConfig(name, "duplicate parameter")
		case !known && !isCompatibility(name):
			return "ERR Unknown option or number of arguments for CONFIG SET - '" + asked + "'"
		case !known || !setting.Live:
			return errConfig(name, "can't set immutable config")
		}
		done[name] = true
		if err := setting.Set(cfg, value); err != nil {
			return errConfig(name, err.Error())
		}
	}
	return ""
}

func isCompatibility(name string) bool {
	for _, pair := range compatibility {
		if pair[0] == name {
			return true
		}
	}
	return false
}

func cmdConfigResetStat(r *request) {
	r.server.stats.reset()
	counted := r.server.limiter.Stats()
	r.server.stats.reclaimedBefore.Store(counted.Reclaimed)
	r.server.stats.evictedBefore.Store(counted.Evicted)
	r.server.table.each(func(c *command) { c.calls.Store(0) })
	r.writeOK()
}

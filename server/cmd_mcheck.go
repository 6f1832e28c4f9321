package server

import (
	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/hashslot"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/config"
	"github.com/rlserver/rlserver/server/resp"
)

// pairsFrom is where the first key of RL.MCHECK stands.
const pairsFrom = 2

// cmdMultiCheck is RL.MCHECK: several keys at once, all or nothing.
func cmdMultiCheck(r *request) {
	n, problem := r.countOfPairs()
	if problem != "" {
		r.fail(problem)
		return
	}
	pairs, rest := r.args[pairsFrom:pairsFrom+2*n], r.args[pairsFrom+2*n:]
	c := r.newCall(engine.OpCheck, 1)
	var options policy.Question
	if err := options.ReadOptions(rest, ""); err != nil {
		problem = errDecision(err)
		if len(rest) > 1 && policy.IsName(rest[1]) {
			problem = errPairsMore(n, rest[0])
		}
	} else {
		if c.Cost = options.Cost; options.Force {
			c.Op = engine.OpForce
		}
		problem = r.addPairs(c, pairs)
	}
	if problem == "" && r.server.hasSlots() {
		problem = c.crossSlot()
	}
	if problem != "" {
		c.forget()
		r.fail(problem)
		return
	}
	r.askCall(c)
}

// countOfPairs reads how many pairs there are, and says what is wrong with them as a whole.
func (r *request) countOfPairs() (n int, problem string) {
	count, ok := wholeNumber(r.args[1])
	if !ok || count < 1 || count > policy.PairsMax {
		return 0, errPairCount(r.args[1])
	}
	n = int(count)
	if words := len(r.args) - pairsFrom; words < 2*n {
		return 0, errPairsFewer(n, words)
	}
	return n, ""
}

// addPairs adds pairs of words, key and @policy, and finds their plans.
func (r *request) addPairs(c *call, words [][]byte) (problem string) {
	for i := 0; i < len(words); i += 2 {
		key, name := resp.View(words[i]), words[i+1]
		if err := engine.CheckKey(key); err != nil {
			return errDecision(err)
		}
		if !policy.IsName(name) {
			return errNotPolicy(name)
		}
		p, problem := r.server.findPolicy(resp.View(name[1:]))
		if problem != "" {
			return problem
		}
		for _, before := range c.pairs {
			if before.policy == p && before.key == key {
				return errPairTwice(words[i], name)
			}
		}
		c.pairs = append(c.pairs, pair{key: key, policy: p})
	}
	return c.resolve(r.server)
}

// hasSlots says whether keys belong to slots of a cluster.
func (s *Server) hasSlots() bool {
	cfg := s.config()
	return cfg.ClusterEmulated || cfg.Backend == config.BackendCluster
}

// crossSlot is the error for keys that are not of one slot.
func (c *call) crossSlot() (problem string) {
	for _, p := range c.pairs[1:] {
		if first := c.pairs[0].key; hashslot.Of(p.key) != hashslot.Of(first) {
			return errCrossSlot(first, p.key)
		}
	}
	return ""
}

package main

import (
	"strings"
	"testing"

	"github.com/rlserver/rlserver/server/config"
)

// CONFIG GET shows a value that was accepted, in the syntax of Set. Another value changes nothing.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name      string
		good, bad []string // “value → shown”, or one text for both
	}{
		{"dir", []string{"/var/lib/rlserver"}, []string{""}},
		{"appendonly", []string{"YES → yes"}, []string{"maybe"}},
		{"appendfsync", []string{"Always → always"}, []string{"sometimes"}},
		{"save", []string{"3600 1 300  100 → 3600 1 300 100", ""},
			[]string{"3600", "0 1", "1 0", "a b", "31536001 1", "1 2147483648", strings.Repeat("1 1 ", 17)}},
		{"auto-aof-rewrite-percentage", []string{"0"}, []string{"-1"}},
		{"auto-aof-rewrite-min-size", []string{"1mb → 1048576"}, nil},
		{"on-disk-failure", []string{"memory"}, []string{"panic"}},
		{"replicaof", []string{" 10.0.0.1  6380  → 10.0.0.1 6380", "::1 6380", "rl-0.rl.default.svc.cluster.local 6380", "", "No One → "},
			[]string{"10.0.0.1", "10.0.0.1:6380", "h 0", "h 65536", "h 1 2", "no two"}},
		{"masterauth", []string{"a b"}, nil},
		{"tls-replication", []string{"yes"}, nil},
		{"replica-priority", []string{"2147483647"}, []string{"2147483648"}},
		{"replica-announce-ip", []string{"2001:db8::1"}, []string{"a b", "h:1"}},
		{"replica-announce-port", []string{"65535"}, []string{"65536"}},
		{"cluster-enabled", []string{"emulated", "no"}, []string{"yes"}},
		{"min-replicas-max-lag", []string{"1"}, []string{"0"}},
		{"repl-backlog-size", []string{"1mb → 1048576"}, []string{"1023kb"}},
		{"repl-timeout", []string{"3600"}, []string{"0"}},
	} {
		row, found := config.Find(newConfiguration().cfg.Settings(), c.name)
		if !found {
			t.Fatalf("there is no setting %s", c.name)
		}
		for _, text := range c.good {
			value, want, differs := strings.Cut(text, " → ")
			if !differs {
				want = value
			}
			if err := row.Set(value); err != nil || row.Get() != want {
				t.Errorf("%s %q: %q, %v, want %q", c.name, value, row.Get(), err, want)
			}
		}
		for _, value := range c.bad {
			before := row.Get()
			if err := row.Set(value); err == nil || row.Get() != before {
				t.Errorf("%s %q was accepted: %q", c.name, value, row.Get())
			}
		}
	}
}

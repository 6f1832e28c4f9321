package main

import (
	"testing"

	"github.com/rlserver/rlserver/server/config"
)

// What is set is what CONFIG GET shows, in the syntax of Set.
func TestSettings(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"dir", "/var/lib/rlserver", "/var/lib/rlserver"},
		{"appendonly", "YES", "yes"},
		{"appendfsync", "Always", "always"},
		{"save", "3600 1 300  100", "3600 1 300 100"},
		{"save", "", ""},
		{"auto-aof-rewrite-percentage", "0", "0"},
		{"auto-aof-rewrite-min-size", "1mb", "1048576"},
		{"on-disk-failure", "memory", "memory"},
		{"replicaof", " 10.0.0.1  6380 ", "10.0.0.1 6380"},
		{"replicaof", "::1 6380", "::1 6380"},
		{"replicaof", "rl-0.rl.default.svc.cluster.local 6380", "rl-0.rl.default.svc.cluster.local 6380"},
		{"replicaof", "", ""},
		{"replicaof", "No One", ""},
		{"masterauth", "a b", "a b"},
		{"tls-replication", "yes", "yes"},
		{"replica-priority", "2147483647", "2147483647"},
		{"replica-announce-ip", "2001:db8::1", "2001:db8::1"},
		{"replica-announce-port", "65535", "65535"},
		{"min-replicas-max-lag", "1", "1"},
		{"repl-backlog-size", "1mb", "1048576"},
		{"repl-timeout", "3600", "3600"},
	} {
		cfg := newConfiguration().cfg
		row, found := config.Find(cfg.Settings(), c.name)
		if !found {
			t.Fatalf("there is no setting %s", c.name)
		}
		if err := row.Set(c.value); err != nil || row.Get() != c.want {
			t.Errorf("%s %q: %q, %v, want %q", c.name, c.value, row.Get(), err, c.want)
		}
	}
	for _, c := range []struct{ name, value string }{
		{"dir", ""}, {"appendonly", "maybe"}, {"appendfsync", "sometimes"},
		{"save", "3600"}, {"save", "0 1"}, {"save", "1 0"}, {"save", "a b"}, {"save", "31536001 1"}, {"save", "1 2147483648"},
		{"save", "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"},
		{"auto-aof-rewrite-percentage", "-1"}, {"on-disk-failure", "panic"},
		{"replicaof", "10.0.0.1"}, {"replicaof", "10.0.0.1:6380"}, {"replicaof", "h 0"}, {"replicaof", "h 65536"}, {"replicaof", "h 1 2"}, {"replicaof", "no two"},
		{"replica-announce-ip", "a b"}, {"replica-announce-ip", "h:1"}, {"replica-announce-port", "65536"}, {"replica-priority", "2147483648"},
		{"repl-backlog-size", "1023kb"}, {"repl-timeout", "0"}, {"min-replicas-max-lag", "0"},
	} {
		cfg := newConfiguration().cfg
		row, _ := config.Find(cfg.Settings(), c.name)
		before := row.Get()
		if err := row.Set(c.value); err == nil || row.Get() != before {
			t.Errorf("%s %q was accepted: %q", c.name, c.value, row.Get())
		}
	}
}

// The default of every setting is accepted, and what Get returns means the same to Set.
func TestDefaults(t *testing.T) {
	for _, row := range newConfiguration().cfg.Settings() {
		value := row.Get()
		if err := row.Set(value); err != nil || row.Get() != value {
			t.Errorf("%s: %q became %q, %v", row.Name, value, row.Get(), err)
		}
	}
}

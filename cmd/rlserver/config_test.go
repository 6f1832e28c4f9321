package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/server/config"
)

// configure reads a configuration as rlserver serve does.
func configure(t *testing.T, env []string, args ...string) (configuration, error) {
	t.Helper()
	e := newEnvironment(env)
	cmd := newServe(e)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return load(cmd.Flags(), e, flagSettings(cmd.Flags()))
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rl.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A flag goes before the environment, that before the file, that before the default.
func TestPrecedence(t *testing.T) {
	for _, c := range []struct{ name, byDefault, file, env, flag string }{
		{"bind", "127.0.0.1", "10.0.0.1", "10.0.0.2 ::1", "10.0.0.3"},
		{"port", "6380", "7001", "7002", "7003"},
		{"protected-mode", "yes", "no", "yes", "no"},
		{"requirepass", "", "0123", "from env", "from flag"},
		{"max-log-limit", "100000", "1", "2", "3"},
		{"shutdown-timeout", "10", "1", "2", "3"},
		{"maxmemory", "0", "16777216", "33554432", "1073741824"},
		{"slowlog-log-slower-than", "10000", "-1", "0", "5"},
		{"log-level", "info", "debug", "warn", "error"},
	} {
		path := writeFile(t, "# a comment\n"+c.name+": "+c.file+"\n")
		env := envName(c.name) + "=" + c.env
		for _, step := range []struct {
			env          []string
			args         []string
			want, origin string
		}{
			{nil, nil, c.byDefault, ""},
			{nil, []string{"--config", path}, c.file, path + ":2"},
			{[]string{"RLSERVER_CONFIG=" + path}, nil, c.file, path + ":2"},
			{[]string{"RLSERVER_CONFIG=" + path}, []string{"--config="}, c.byDefault, ""},
			{[]string{"RLSERVER_CONFIG=/nowhere"}, []string{"--config", path}, c.file, path + ":2"},
			{[]string{env}, []string{"--config", path}, c.env, envName(c.name)},
			{[]string{envName(c.name) + "="}, []string{"--config", path}, c.file, path + ":2"},
			{[]string{env}, []string{"--config", path, "--" + c.name, c.flag}, c.flag, "--" + c.name},
			{nil, []string{"--config", path, "--" + c.name, c.flag}, c.flag, "--" + c.name},
		} {
			got, err := configure(t, step.env, step.args...)
			if err != nil {
				t.Errorf("%v %v: %v", step.env, step.args, err)
				continue
			}
			row, _ := config.Find(got.cfg.Settings(), c.name)
			if value := row.Get(); value != step.want || got.origins[c.name] != step.origin {
				t.Errorf("%v %v: %s is %q from %q, want %q from %q",
					step.env, step.args, c.name, value, got.origins[c.name], step.want, step.origin)
			}
		}
	}
}

// All three sources know every setting of the table. What Get returns means the same to Set.
func TestEverySettingFromEverySource(t *testing.T) {
	for _, row := range table {
		value := row.Get()
		switch {
		case row.Name == "save":
			value = "3600 1"
		case row.Name == "replicaof":
			value = "localhost 6380"
		case value == "":
			value = "x"
		}
		for _, source := range []struct {
			env  []string
			args []string
		}{
			{[]string{envName(row.Name) + "=" + value}, nil},
			{nil, []string{"--" + row.Name, value}},
			{nil, []string{"--config", writeFile(t, row.Name+": "+strconv.Quote(value))}},
		} {
			c, err := configure(t, source.env, source.args...)
			set, _ := config.Find(c.cfg.Settings(), row.Name)
			if err != nil || set.Get() != value || c.origins[row.Name] == "" || len(c.warnings) != 0 {
				t.Errorf("%v %v: %v, %v", source.env, source.args, err, c)
			}
		}
	}
}

func TestBadEnvironment(t *testing.T) {
	for _, c := range []struct{ variable, want string }{
		{"RLSERVER_PORT=http", `RLSERVER_PORT: "http" is not accepted for port: expected auto, or 0 to 65535; 0 is none, auto a free one`},
		{"RLSERVER_MAX_LOG_LIMIT=0", `RLSERVER_MAX_LOG_LIMIT: "0" is not accepted for max-log-limit: expected 1 to 500000`},
		{"RLSERVER_MAXMEMORY=15mb", `RLSERVER_MAXMEMORY: "15mb" is not accepted for maxmemory: expected 0 for no bound, or bytes from 16mb on, with k, m and g for thousands and kb, mb and gb for 1024s`},
		{"RLSERVER_BIND=example.com", `RLSERVER_BIND: "example.com" is not accepted for bind: expected IP addresses, separated by commas or spaces`},
		{"RLSERVER_CONFIG=/nowhere/rl.yaml", `cannot read the configuration file /nowhere/rl.yaml (RLSERVER_CONFIG): no such file or directory`},
	} {
		for _, args := range [][]string{{"serve"}, {"serve", "--port", "7000"}, {"ping"}} {
			call([]string{c.variable}, args...).expect(t, 1, "", "rlserver: "+c.want+"\n")
		}
	}
}

// Kubernetes sets these in every container of a namespace with a Service named rlserver.
func TestKubernetesServiceLinks(t *testing.T) {
	c, err := configure(t, []string{
		"RLSERVER_SERVICE_HOST=10.0.0.1",
		"RLSERVER_SERVICE_PORT=6380",
		"RLSERVER_SERVICE_PORT_RESP=6380",
		"RLSERVER_PORT=tcp://10.0.0.1:6380",
		"RLSERVER_PORT_6380_TCP=tcp://10.0.0.1:6380",
		"RLSERVER_PORT_6380_TCP_ADDR=10.0.0.1",
		"RLSERVER_HEADLESS_SERVICE_HOST=10.0.0.2",
		"RLSERVER_HEADLESS_PORT=tcp://10.0.0.2:6380",
	})
	if err != nil || c.cfg.Port != 6380 || c.origins["port"] != "" {
		t.Errorf("%v, port %d from %q", err, c.cfg.Port, c.origins["port"])
	}
	if len(c.warnings) != 1 || !strings.Contains(c.warnings[0].text, "Kubernetes") ||
		!reflect.DeepEqual(c.warnings[0].attrs, []any{"name", "RLSERVER_PORT", "value", "tcp://10.0.0.1:6380"}) {
		t.Errorf("warnings: %v", c.warnings)
	}
}

func TestUnknownVariables(t *testing.T) {
	c, err := configure(t, []string{"RLSERVER_PROT=7000", "RLSERVER_ELEPHANTS=yes", "RLSERVER_EMPTY=", "PORT=1"})
	want := []warning{
		{"unknown environment variable ignored", []any{"name", "RLSERVER_ELEPHANTS"}},
		{"unknown environment variable ignored", []any{"name", "RLSERVER_PROT", "did_you_mean", "RLSERVER_PORT"}},
	}
	if err != nil || !reflect.DeepEqual(c.warnings, want) {
		t.Errorf("%v, warnings %v", err, c.warnings)
	}
}

package config

import (
	"log/slog"
	"runtime"
	"slices"
	"time"
)

// A Config is a configuration: the settings of the server, and the sections of other rooms. Its
// rows are in table.go, which also gives ranges and defaults.
type Config struct {
	Bind             []string      // addresses to listen on
	Port             int           // TCP port; 0: none, PortAuto: a free one
	UnixSocket       string        // path of a Unix socket; empty: none
	UnixSocketPerm   int           // its permissions; 0: the umask's
	TLSPort          int           // port for TLS, likewise
	TLSCertFile      string        // PEM files of the server's certificate and key,
	TLSKeyFile       string        // and of the authority
	TLSCAFile        string        // that signs clients' certificates
	TLSAuthClients   string        // AuthAuto, AuthNo, AuthOptional or AuthYes
	ProtectedMode    bool          // without a password, serve loopback only
	RequirePass      string        // empty: no password
	MaxClients       int           // connections at once
	Timeout          time.Duration // idle connections are closed after this; 0: never
	WriteTimeout     time.Duration // a peer that takes no answers is closed after this
	OutputBuffer     int64         // bytes of answers that may wait for one peer
	EventLoops       int           // loopsAuto, or 0: a goroutine a connection
	ShutdownTimeout  time.Duration // the most that a drain may take
	MaxLogLimit      int64         // highest limit of a sliding_window_log
	MaxMemory        int64         // bytes that keys may take; 0: no bound
	SlowlogThreshold int64         // µs; −1: nothing is logged, 0: everything
	SlowlogMaxLen    int           // entries kept
	LogLevel         slog.Level
	LogFormat        string  // "auto", "text" or "json"
	Primary          Address // that this server is a replica of
	TLSReplication   bool    // replicas reach their primary by TLS
	AnnounceIP       string  // where others reach this server; empty: the address that they have reached
	AnnouncePort     int     // 0: the port that is listened on
	ClusterEmulated  bool    // to clients the server is a Redis Cluster that has all slots
	Backend          string  // BackendMemory, or the kind of Redis that decides

	sections []Section
}

// A Section holds the settings of a room that the server does not know. The server keeps them,
// shows them and changes them.
type Section interface {
	Settings() []Setting // bound to this section
	Copy() Section
	// Apply makes the settings take effect, or returns an error. It may be called again with
	// the section that was in force before.
	Apply() error
}

// Default is a configuration with every setting at its default.
func Default(sections ...Section) *Config {
	c := &Config{sections: sections}
	for _, row := range c.Settings() {
		if err := row.Set(row.Default); err != nil {
			panic(err)
		}
	}
	return c
}

// Settings is the table of settings, bound to c, in the order of the groups.
func (c *Config) Settings() []Setting {
	rows := c.table()
	for _, s := range c.sections {
		rows = append(rows, s.Settings()...)
	}
	slices.SortStableFunc(rows, func(a, b Setting) int { return int(a.Group - b.Group) })
	return rows
}

// Find finds a row by its name, in any case.
func Find(rows []Setting, name string) (Setting, bool) {
	i := slices.IndexFunc(rows, func(row Setting) bool { return same(name, row.Name) })
	if i < 0 {
		return Setting{}, false
	}
	return rows[i], true
}

// Copy is another configuration with the same values, to be changed.
func (c *Config) Copy() *Config {
	other := *c
	other.sections = slices.Clone(c.sections)
	for i, s := range other.sections {
		other.sections[i] = s.Copy()
	}
	return &other
}

// Apply makes the sections take effect, up to the first that returns an error.
func (c *Config) Apply() error {
	for _, s := range c.sections {
		if err := s.Apply(); err != nil {
			return err
		}
	}
	return nil
}

// PortAuto is a port that the system chooses: one that is free.
const PortAuto = -1

// loopsAuto leaves the number of event loops to LoopCount.
const loopsAuto = -1

// LoopCount is how many event loops to run.
func (c *Config) LoopCount() int {
	if c.EventLoops != loopsAuto {
		return c.EventLoops
	}
	return max(runtime.GOMAXPROCS(0)/2, 1)
}

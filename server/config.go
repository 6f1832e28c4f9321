package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// Config is what a server runs with. DefaultConfig has the defaults, and each field is one
// row of the table of settings below, which also gives its range.
type Config struct {
	Bind             []string      // addresses to listen on
	Port             int           // TCP port; 0 takes a free one
	UnixSocket       string        // path of a Unix socket; empty: none
	UnixSocketPerm   int           // its permissions; 0: the umask's
	TLSPort          int           // port for TLS; 0: none
	TLSCertFile      string        // PEM files of the server's certificate and key,
	TLSKeyFile       string        // and of the authority
	TLSCAFile        string        // that signs clients' certificates
	TLSAuthClients   string        // "auto", "no", "optional" or "yes"
	ProtectedMode    bool          // without a password, serve loopback only
	RequirePass      string        // empty: no password
	MaxClients       int           // connections at once
	Timeout          time.Duration // idle connections are closed after this; 0: never
	WriteTimeout     time.Duration // a peer that takes no answers is closed after this
	OutputBuffer     int64         // bytes of answers that may wait for one peer
	EventLoops       int           // −1: as many as suit the machine, 0: a goroutine a connection
	ShutdownTimeout  time.Duration // the most that a drain may take
	MaxLogLimit      int64         // highest limit of a sliding_window_log
	MaxMemory        int64         // bytes that keys may take; 0: no bound
	SlowlogThreshold int64         // µs; −1: nothing is logged, 0: everything
	SlowlogMaxLen    int           // entries kept
	LogLevel         slog.Level
	LogFormat        string // "auto", "text" or "json"
	Redis            RedisConfig
	Replication      ReplicationConfig
}

// A Setting is one row: a flag of the command line, an environment variable, a key of the
// configuration file and a parameter of CONFIG GET, all with the same name and syntax.
type Setting struct {
	Name    string
	Accepts string // what a value may be, for error messages and the help
	Usage   string
	Live    bool // can be changed by CONFIG SET
	secret  bool // not to be shown in the log
	set     func(c *Config, value string) error
	get     func(c *Config) string
}

var errNotAccepted = errors.New("not accepted")

// The values of tls-auth-clients.
const (
	authAuto     = "auto"
	authNo       = "no"
	authOptional = "optional"
	authYes      = "yes"
)

// outputBufferMin is the lowest output-buffer-limit.
const outputBufferMin = 64 << 10

// MaxMemoryMin is the lowest bound on memory. Empty tables for keys of every length take a
// sixth of it; a bound below that would leave next to nothing to forget.
const MaxMemoryMin = 16 << 20

// Settings is the table of settings.
var Settings = slices.Concat(serverSettings, replicationSettings, redisSettings)

var serverSettings = []Setting{
	{Name: "bind", Accepts: "IP addresses, separated by commas or spaces",
		Usage: "addresses to listen on",
		set:   func(c *Config, v string) error { return setBind(&c.Bind, v) },
		get:   func(c *Config) string { return strings.Join(c.Bind, " ") }},
	{Name: "port", Accepts: "0 to 65535; 0 takes a free port",
		Usage: "TCP port to listen on",
		set:   func(c *Config, v string) error { return setInt(&c.Port, v, 0, 65535) },
		get:   func(c *Config) string { return strconv.Itoa(c.Port) }},
	{Name: "unixsocket", Accepts: "a path, or nothing for none",
		Usage: "Unix socket to listen on as well",
		set:   func(c *Config, v string) error { c.UnixSocket = v; return nil },
		get:   func(c *Config) string { return c.UnixSocket }},
	{Name: "unixsocketperm", Accepts: "octal permissions from 1 to 777, or 0 for those of the umask",
		Usage: "permissions of the Unix socket",
		set:   func(c *Config, v string) error { return setPermissions(&c.UnixSocketPerm, v) },
		get:   func(c *Config) string { return strconv.FormatInt(int64(c.UnixSocketPerm), 8) }},
	{Name: "tls-port", Accepts: "0 to 65535; 0 is none",
		Usage: "TCP port to listen on for TLS",
		set:   func(c *Config, v string) error { return setInt(&c.TLSPort, v, 0, 65535) },
		get:   func(c *Config) string { return strconv.Itoa(c.TLSPort) }},
	{Name: "tls-cert-file", Accepts: "the path of a PEM file",
		Usage: "the server's certificate for TLS; read again when it changes",
		set:   func(c *Config, v string) error { c.TLSCertFile = v; return nil },
		get:   func(c *Config) string { return c.TLSCertFile }},
	{Name: "tls-key-file", Accepts: "the path of a PEM file",
		Usage: "the key of tls-cert-file",
		set:   func(c *Config, v string) error { c.TLSKeyFile = v; return nil },
		get:   func(c *Config) string { return c.TLSKeyFile }},
	{Name: "tls-ca-cert-file", Accepts: "the path of a PEM file, or nothing for none",
		Usage: "the authority of clients' certificates",
		set:   func(c *Config, v string) error { c.TLSCAFile = v; return nil },
		get:   func(c *Config) string { return c.TLSCAFile }},
	{Name: "tls-auth-clients", Accepts: "auto, no, optional or yes; auto is yes with tls-ca-cert-file and no without",
		Usage: "whether TLS clients must show a certificate",
		set: func(c *Config, v string) error {
			return setOneOf(&c.TLSAuthClients, v, authAuto, authNo, authOptional, authYes)
		},
		get: func(c *Config) string { return c.TLSAuthClients }},
	{Name: "protected-mode", Accepts: "yes or no", Live: true,
		Usage: "while no password is set, refuse connections that do not come from this machine",
		set:   func(c *Config, v string) error { return setBool(&c.ProtectedMode, v) },
		get:   func(c *Config) string { return yesNo(c.ProtectedMode) }},
	{Name: "requirepass", Accepts: "a password, or nothing for none", Live: true, secret: true,
		Usage: "password that clients must give; better in the environment or the file than on the command line",
		set:   func(c *Config, v string) error { c.RequirePass = v; return nil },
		get:   func(c *Config) string { return c.RequirePass }},
	{Name: "maxclients", Accepts: "1 to 1000000", Live: true,
		Usage: "connections served at once",
		set:   func(c *Config, v string) error { return setInt(&c.MaxClients, v, 1, 1_000_000) },
		get:   func(c *Config) string { return strconv.Itoa(c.MaxClients) }},
	{Name: "timeout", Accepts: "seconds, 0 to 31536000; 0 is never", Live: true,
		Usage: "close a connection that has been idle this long",
		set:   func(c *Config, v string) error { return setSeconds(&c.Timeout, v, 0, 31_536_000) },
		get:   func(c *Config) string { return seconds(c.Timeout) }},
	{Name: "write-timeout", Accepts: "seconds, 1 to 3600", Live: true,
		Usage: "close a connection whose peer has taken none of its answers for this long",
		set:   func(c *Config, v string) error { return setSeconds(&c.WriteTimeout, v, 1, 3600) },
		get:   func(c *Config) string { return seconds(c.WriteTimeout) }},
	{Name: "output-buffer-limit", Live: true,
		Accepts: fmt.Sprintf("bytes from %dkb on, with units as maxmemory", outputBufferMin>>10),
		Usage:   "answers that may wait for a peer that does not read before its next command has to wait as well",
		set:     func(c *Config, v string) error { return setMemory(&c.OutputBuffer, v, outputBufferMin) },
		get:     func(c *Config) string { return strconv.FormatInt(c.OutputBuffer, 10) }},
	{Name: "event-loops", Accepts: "auto, or 0 to 256; 0 serves every connection in a goroutine of its own",
		Usage: "goroutines that serve the connections without TLS; auto is one for every two processors",
		set:   func(c *Config, v string) error { return setLoops(&c.EventLoops, v) },
		get:   func(c *Config) string { return loopsText(c.EventLoops) }},
	{Name: "shutdown-timeout", Accepts: "seconds, 1 to 3600", Live: true,
		Usage: "the most that a shutdown waits for answers that are under way",
		set:   func(c *Config, v string) error { return setSeconds(&c.ShutdownTimeout, v, 1, 3600) },
		get:   func(c *Config) string { return seconds(c.ShutdownTimeout) }},
	{Name: "max-log-limit", Accepts: fmt.Sprintf("1 to %d", engine.LogLimitMax),
		Usage: "highest limit of a sliding_window_log, which keeps every admitted request",
		set:   func(c *Config, v string) error { return setInt(&c.MaxLogLimit, v, 1, engine.LogLimitMax) },
		get:   func(c *Config) string { return strconv.FormatInt(c.MaxLogLimit, 10) }},
	{Name: "maxmemory", Live: true,
		Accepts: fmt.Sprintf("0 for no bound, or bytes from %dmb on, with k, m and g for thousands and kb, mb and gb for 1024s", MaxMemoryMin>>20),
		Usage:   "memory for keys and logs; at the bound those at rest are forgotten, then those nearest to rest",
		set:     func(c *Config, v string) error { return setMaxMemory(&c.MaxMemory, v) },
		get:     func(c *Config) string { return strconv.FormatInt(c.MaxMemory, 10) }},
	{Name: "slowlog-log-slower-than", Accepts: "microseconds, -1 to 3600000000; 0 logs every command, -1 none", Live: true,
		Usage: "log commands that take longer than this",
		set:   func(c *Config, v string) error { return setInt(&c.SlowlogThreshold, v, -1, 3_600_000_000) },
		get:   func(c *Config) string { return strconv.FormatInt(c.SlowlogThreshold, 10) }},
	{Name: "slowlog-max-len", Accepts: "0 to 100000", Live: true,
		Usage: "slow commands to remember",
		set:   func(c *Config, v string) error { return setInt(&c.SlowlogMaxLen, v, 0, 100_000) },
		get:   func(c *Config) string { return strconv.Itoa(c.SlowlogMaxLen) }},
	{Name: "log-level", Accepts: "debug, info, warn or error", Live: true,
		Usage: "the least important log lines to write",
		set:   func(c *Config, v string) error { return setLevel(&c.LogLevel, v) },
		get:   func(c *Config) string { return strings.ToLower(c.LogLevel.String()) }},
	{Name: "log-format", Accepts: "auto, text or json; auto is text on a terminal and json elsewhere",
		Usage: "form of the log",
		set:   func(c *Config, v string) error { return setOneOf(&c.LogFormat, v, "auto", "text", "json") },
		get:   func(c *Config) string { return c.LogFormat }},
}

// DefaultConfig serves this machine on port 6380.
func DefaultConfig() Config {
	return Config{
		Bind:             []string{"127.0.0.1"},
		Port:             6380,
		TLSAuthClients:   authAuto,
		ProtectedMode:    true,
		MaxClients:       10_000,
		WriteTimeout:     30 * time.Second,
		OutputBuffer:     32 << 20,
		EventLoops:       loopsAuto,
		ShutdownTimeout:  10 * time.Second,
		MaxLogLimit:      engine.LogLimitDefault,
		SlowlogThreshold: 10_000,
		SlowlogMaxLen:    128,
		LogLevel:         slog.LevelInfo,
		LogFormat:        "auto",
		Redis:            defaultRedisConfig(),
		Replication:      defaultReplicationConfig(),
	}
}

// SettingByName finds a row of the table; names are case-insensitive.
func SettingByName(name string) (Setting, bool) {
	for _, row := range Settings {
		if equalFold(name, row.Name) {
			return row, true
		}
	}
	return Setting{}, false
}

// Set changes c, or returns an error that says what is accepted and leaves c as it was.
func (row Setting) Set(c *Config, value string) error {
	if row.set(c, value) != nil {
		return fmt.Errorf("%s is not accepted for %s: expected %s", strconv.Quote(value), row.Name, row.Accepts)
	}
	return nil
}

// Get is the setting's value in c, in the syntax of Set.
func (row Setting) Get(c *Config) string { return row.get(c) }

// Show is Get, for the log: of a secret it says only that it is there.
func (row Setting) Show(c *Config) string {
	if value := row.Get(c); value == "" || !row.secret {
		return value
	}
	return "(not shown)"
}

func setInt[T int | int64](to *T, value string, low, high int64) error {
	n, ok := wholeNumber([]byte(value))
	if !ok || n < low || n > high {
		return errNotAccepted
	}
	*to = T(n)
	return nil
}

// memoryUnits are Redis's: k is a thousand, kb 1024.
var memoryUnits = []struct {
	suffix string
	bytes  int64
}{
	{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30},
	{"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"b", 1}, {"", 1},
}

// setMaxMemory is setMemory with 0 for no bound.
func setMaxMemory(to *int64, value string) error {
	var n int64
	if err := setMemory(&n, value, 0); err != nil || n != 0 && n < MaxMemoryMin {
		return errNotAccepted
	}
	*to = n
	return nil
}

func setMemory(to *int64, value string, low int64) error {
	for _, unit := range memoryUnits {
		number, ok := strings.CutSuffix(lower(value), unit.suffix)
		if !ok {
			continue
		}
		var n int64
		if err := setInt(&n, number, 0, math.MaxInt64/unit.bytes); err != nil {
			return err
		}
		if n *= unit.bytes; n < low {
			return errNotAccepted
		}
		*to = n
		return nil
	}
	return errNotAccepted
}

// loopsAuto leaves the number of event loops to loopCount.
const loopsAuto = -1

// loopCount is how many event loops to run.
func (c *Config) loopCount() int {
	if c.EventLoops != loopsAuto {
		return c.EventLoops
	}
	return max(runtime.GOMAXPROCS(0)/2, 1)
}

func setLoops(to *int, value string) error {
	if equalFold(value, "auto") {
		*to = loopsAuto
		return nil
	}
	return setInt(to, value, 0, 256)
}

func loopsText(n int) string {
	if n == loopsAuto {
		return "auto"
	}
	return strconv.Itoa(n)
}

func setSeconds(to *time.Duration, value string, low, high int64) error {
	var n int64
	if err := setInt(&n, value, low, high); err != nil {
		return err
	}
	*to = time.Duration(n) * time.Second
	return nil
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

func setPermissions(to *int, value string) error {
	n, err := strconv.ParseUint(value, 8, 16)
	if err != nil || n > 0o777 {
		return errNotAccepted
	}
	*to = int(n)
	return nil
}

func setBool(to *bool, value string) error {
	switch lower(value) {
	case "yes", "true":
		*to = true
	case "no", "false":
		*to = false
	default:
		return errNotAccepted
	}
	return nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func setOneOf(to *string, value string, accepted ...string) error {
	for _, one := range accepted {
		if equalFold(value, one) {
			*to = one
			return nil
		}
	}
	return errNotAccepted
}

func setLevel(to *slog.Level, value string) error {
	var name string
	if err := setOneOf(&name, value, "debug", "info", "warn", "error"); err != nil {
		return err
	}
	return to.UnmarshalText([]byte(name))
}

func setBind(to *[]string, value string) error {
	hosts := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	if len(hosts) == 0 {
		return errNotAccepted
	}
	for _, host := range hosts {
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
			return errNotAccepted
		}
	}
	*to = hosts
	return nil
}

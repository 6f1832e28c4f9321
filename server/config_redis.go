package server

import (
	"net"
	"strconv"
	"strings"
	"time"
)

// RedisConfig is where decisions are made, if not in memory, and what to do while they cannot
// be.
type RedisConfig struct {
	Backend          string // "memory", "redis", "redis-cluster" or "redis-sentinel"
	Addrs            []string
	MasterName       string
	Username         string
	Password         string
	PasswordFile     string
	SentinelUsername string
	SentinelPassword string
	TLS              bool
	TLSCAFile        string
	TLSCertFile      string
	TLSKeyFile       string
	DB               int
	PoolSize         int // pipelines under way to one Redis; 0: as many as suit the machine
	Prefix           string
	Timeout          time.Duration
	DenyCacheMax     time.Duration
	DenyCacheSize    int
	OnFailure        string // "error", "allow", "deny" or "local"
	LocalShare       int64
}

// BackendMemory is the backend that needs no Redis.
const BackendMemory = "memory"

// The longest times that can be set for a question and for a denial that is remembered.
const (
	redisTimeoutMax = time.Minute
	denyCacheMost   = time.Hour
)

func defaultRedisConfig() RedisConfig {
	return RedisConfig{
		Backend:       BackendMemory,
		Addrs:         []string{"127.0.0.1:6379"},
		Prefix:        "rl:",
		Timeout:       100 * time.Millisecond,
		DenyCacheMax:  time.Second,
		DenyCacheSize: 100_000,
		OnFailure:     "error",
		LocalShare:    1,
	}
}

// redisSettings are the rows of the table of settings that are about Redis.
var redisSettings = []Setting{
	{Name: "backend", Accepts: "memory, redis, redis-cluster or redis-sentinel",
		Usage: "where decisions are made: in this process, or in a Redis that many servers share",
		set: func(c *Config, v string) error {
			return setOneOf(&c.Redis.Backend, v, BackendMemory, "redis", "redis-cluster", "redis-sentinel")
		},
		get: func(c *Config) string { return c.Redis.Backend }},
	{Name: "redis-addr", Accepts: "host:port, or several separated by commas",
		Usage: "the Redis, some nodes of the cluster, or the Sentinels",
		set:   func(c *Config, v string) error { return setAddrs(&c.Redis.Addrs, v) },
		get:   func(c *Config) string { return strings.Join(c.Redis.Addrs, ",") }},
	{Name: "redis-master-name", Accepts: "a name",
		Usage: "what the Sentinels call the primary",
		set:   func(c *Config, v string) error { c.Redis.MasterName = v; return nil },
		get:   func(c *Config) string { return c.Redis.MasterName }},
	{Name: "redis-username", Accepts: "a name, or nothing for the default user",
		Usage: "user of Redis",
		set:   func(c *Config, v string) error { c.Redis.Username = v; return nil },
		get:   func(c *Config) string { return c.Redis.Username }},
	{Name: "redis-password", Accepts: "a password, or nothing for none", secret: true,
		Usage: "password of Redis; better in the environment or a file than on the command line",
		set:   func(c *Config, v string) error { c.Redis.Password = v; return nil },
		get:   func(c *Config) string { return c.Redis.Password }},
	{Name: "redis-password-file", Accepts: "the path of a file, or nothing for none",
		Usage: "file that holds the password of Redis; read for each new connection",
		set:   func(c *Config, v string) error { c.Redis.PasswordFile = v; return nil },
		get:   func(c *Config) string { return c.Redis.PasswordFile }},
	{Name: "redis-sentinel-username", Accepts: "a name, or nothing for the default user",
		Usage: "user of the Sentinels",
		set:   func(c *Config, v string) error { c.Redis.SentinelUsername = v; return nil },
		get:   func(c *Config) string { return c.Redis.SentinelUsername }},
	{Name: "redis-sentinel-password", Accepts: "a password, or nothing for none", secret: true,
		Usage: "password of the Sentinels",
		set:   func(c *Config, v string) error { c.Redis.SentinelPassword = v; return nil },
		get:   func(c *Config) string { return c.Redis.SentinelPassword }},
	{Name: "redis-tls", Accepts: "yes or no",
		Usage: "speak TLS with Redis",
		set:   func(c *Config, v string) error { return setBool(&c.Redis.TLS, v) },
		get:   func(c *Config) string { return yesNo(c.Redis.TLS) }},
	{Name: "redis-tls-ca-cert-file", Accepts: "the path of a PEM file, or nothing for the system's authorities",
		Usage: "the authority of Redis's certificate",
		set:   func(c *Config, v string) error { c.Redis.TLSCAFile = v; return nil },
		get:   func(c *Config) string { return c.Redis.TLSCAFile }},
	{Name: "redis-tls-cert-file", Accepts: "the path of a PEM file, or nothing for none",
		Usage: "the certificate that Redis is shown",
		set:   func(c *Config, v string) error { c.Redis.TLSCertFile = v; return nil },
		get:   func(c *Config) string { return c.Redis.TLSCertFile }},
	{Name: "redis-tls-key-file", Accepts: "the path of a PEM file, or nothing for none",
		Usage: "the key of redis-tls-cert-file",
		set:   func(c *Config, v string) error { c.Redis.TLSKeyFile = v; return nil },
		get:   func(c *Config) string { return c.Redis.TLSKeyFile }},
	{Name: "redis-db", Accepts: "0 to 1000000",
		Usage: "database of Redis",
		set:   func(c *Config, v string) error { return setInt(&c.Redis.DB, v, 0, 1_000_000) },
		get:   func(c *Config) string { return strconv.Itoa(c.Redis.DB) }},
	{Name: "redis-pool-size", Accepts: "auto, or 1 to 1000",
		Usage: "connections to each Redis, on each of which one pipeline is under way at a time",
		set:   func(c *Config, v string) error { return setPoolSize(&c.Redis.PoolSize, v) },
		get:   func(c *Config) string { return poolSizeText(c.Redis.PoolSize) }},
	{Name: "redis-prefix", Accepts: "text without braces",
		Usage: "what keys begin with in Redis",
		set:   func(c *Config, v string) error { return setPrefix(&c.Redis.Prefix, v) },
		get:   func(c *Config) string { return c.Redis.Prefix }},
	{Name: "redis-timeout", Accepts: "1ms to 60s, in whole seconds or with ms or s", Live: true,
		Usage: "the most that a caller waits for Redis",
		set: func(c *Config, v string) error {
			return setSpan(&c.Redis.Timeout, v, time.Millisecond, redisTimeoutMax)
		},
		get: func(c *Config) string { return spanText(c.Redis.Timeout) }},
	{Name: "deny-cache-max", Accepts: "0 for none, or 1ms to 1h, in whole seconds or with ms, s, m or h", Live: true,
		Usage: "how long a denial is answered without asking Redis; a reset made elsewhere is seen after this",
		set:   func(c *Config, v string) error { return setSpan(&c.Redis.DenyCacheMax, v, 0, denyCacheMost) },
		get:   func(c *Config) string { return spanText(c.Redis.DenyCacheMax) }},
	{Name: "deny-cache-size", Accepts: "1 to 100000000",
		Usage: "denials to remember",
		set:   func(c *Config, v string) error { return setInt(&c.Redis.DenyCacheSize, v, 1, 100_000_000) },
		get:   func(c *Config) string { return strconv.Itoa(c.Redis.DenyCacheSize) }},
	{Name: "on-redis-failure", Accepts: "error, allow, deny or local", Live: true,
		Usage: "what is answered while Redis does not decide; local decides in memory, by a share of the limit",
		set: func(c *Config, v string) error {
			return setOneOf(&c.Redis.OnFailure, v, "error", "allow", "deny", "local")
		},
		get: func(c *Config) string { return c.Redis.OnFailure }},
	{Name: "local-share", Accepts: "1 to 1000000", Live: true,
		Usage: "what limits are divided by with on-redis-failure local: the number of servers",
		set:   func(c *Config, v string) error { return setInt(&c.Redis.LocalShare, v, 1, 1_000_000) },
		get:   func(c *Config) string { return strconv.FormatInt(c.Redis.LocalShare, 10) }},
}

func setAddrs(to *[]string, value string) error {
	addrs := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	if len(addrs) == 0 {
		return errNotAccepted
	}
	for _, addr := range addrs {
		host, port, err := net.SplitHostPort(addr)
		if n, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil || n == 0 || host == "" {
			return errNotAccepted
		}
	}
	*to = addrs
	return nil
}

func setPrefix(to *string, value string) error {
	if strings.ContainsAny(value, "{}") {
		return errNotAccepted
	}
	*to = value
	return nil
}

func setPoolSize(to *int, value string) error {
	if equalFold(value, "auto") {
		*to = 0
		return nil
	}
	return setInt(to, value, 1, 1000)
}

func poolSizeText(n int) string {
	if n == 0 {
		return "auto"
	}
	return strconv.Itoa(n)
}

// setSpan parses a span as the period of a limit is written; 0 is accepted if low is 0.
func setSpan(to *time.Duration, value string, low, high time.Duration) error {
	span, ok := parsePeriod([]byte(value))
	if value == "0" {
		span, ok = 0, true
	}
	if !ok || span < low || span > high {
		return errNotAccepted
	}
	*to = span
	return nil
}

func spanText(span time.Duration) string {
	if span%time.Second != 0 {
		return strconv.FormatInt(span.Milliseconds(), 10) + "ms"
	}
	if span == 0 {
		return "0"
	}
	return strconv.FormatInt(int64(span/time.Second), 10) + "s"
}

package config

import (
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"github.com/rlserver/rlserver/engine"
)

// The values of tls-auth-clients.
const (
	AuthAuto     = "auto"
	AuthNo       = "no"
	AuthOptional = "optional"
	AuthYes      = "yes"
)

// The settings that the code names, besides their rows.
const (
	NameReplicaOf  = "replicaof"
	NameAppendOnly = "appendonly"
	NameBackend    = "backend"
)

// The backends that the code names: the one that needs no Redis, and the one whose keys are in the slots
// of a cluster.
const (
	BackendMemory  = "memory"
	BackendCluster = "redis-cluster"
)

// MaxMemoryMin is the lowest bound on memory. Empty tables for keys of every length take a
// sixth of it; a bound below that would leave next to nothing to reclaim.
const MaxMemoryMin = 16 << 20

// The upper ends of ranges.
const (
	portMax        = math.MaxUint16
	secondsMax     = 31_536_000 // a year
	waitSecondsMax = 3600
)

// tlsUses are the settings that use the server's certificates.
var tlsUses = []string{"tls-port", "tls-replication"}

// table is the rows of the server's own settings.
func (c *Config) table() []Setting {
	return slices.Concat(In(Network, []Setting{
		{Name: "bind", Field: List(&c.Bind, " ", "IP addresses, separated by commas or spaces", isBindHost), Default: "127.0.0.1",
			Usage: "addresses to listen on"},
		{Name: "port", Field: port(&c.Port), Default: "6380", Note: "0 is none, auto a free one",
			Usage: "TCP port to listen on"},
		{Name: "unixsocket", Field: Path(&c.UnixSocket, "a path, or nothing for none"),
			Usage: "Unix socket to listen on as well"},
		{Name: "unixsocketperm", Field: Permissions(&c.UnixSocketPerm), Default: "0", Needs: []string{"unixsocket"},
			Usage: "permissions of the Unix socket"},
		{Name: "tls-port", Field: port(&c.TLSPort), Default: "0", Note: "0 is none, auto a free one",
			Usage: "TCP port to listen on for TLS"},
		{Name: "tls-cert-file", Field: Path(&c.TLSCertFile, "the path of a PEM file"),
			Needs: tlsUses, Usage: "the server's certificate for TLS; read again when it changes"},
		{Name: "tls-key-file", Field: Path(&c.TLSKeyFile, "the path of a PEM file"),
			Needs: tlsUses, Usage: "the key of tls-cert-file"},
		{Name: "tls-ca-cert-file", Field: Path(&c.TLSCAFile, "the path of a PEM file, or nothing for none"),
			Needs: tlsUses, Usage: "the authority of clients' certificates"},
		{Name: "tls-auth-clients", Field: OneOf(&c.TLSAuthClients, AuthAuto, AuthNo, AuthOptional, AuthYes), Default: AuthAuto,
			Needs: tlsUses[:1], Note: "auto is yes with tls-ca-cert-file and no without", Usage: "whether TLS clients must show a certificate"},
		{Name: "protected-mode", Field: Bool(&c.ProtectedMode), Default: "yes", Live: true,
			Usage: "while no password is set, refuse connections that do not come from this machine"},
		{Name: "requirepass", Field: Password(&c.RequirePass), Live: true,
			Usage: "password that clients must give; better in the environment or the file than on the command line"},
		{Name: "maxclients", Field: Int(&c.MaxClients, 1, 1_000_000), Default: "10000", Live: true,
			Usage: "connections served at once"},
		{Name: "timeout", Field: Seconds(&c.Timeout, 0, secondsMax), Default: "0", Note: "0 is never", Live: true,
			Usage: "close a connection that has been idle this long"},
		{Name: "write-timeout", Field: Seconds(&c.WriteTimeout, 1, waitSecondsMax), Default: "30", Live: true,
			Usage: "close a connection whose peer has taken none of its answers for this long"},
		{Name: "output-buffer-limit", Field: Bytes(&c.OutputBuffer, 64<<10), Default: "32mb", Live: true,
			Usage: "answers that may wait for a peer that does not read before its next command has to wait as well"},
		{Name: "event-loops", Field: OrAuto(&c.EventLoops, loopsAuto, Int(&c.EventLoops, 0, 256)), Default: "auto",
			Note:  "0 serves every connection in a goroutine of its own",
			Usage: "goroutines that serve the connections without TLS; auto is one for every two processors"},
		{Name: "shutdown-timeout", Field: Seconds(&c.ShutdownTimeout, 1, waitSecondsMax), Default: "10", Live: true,
			Usage: "the most that a shutdown waits for answers that are under way"},
		{Name: "cluster-enabled", Field: Either(&c.ClusterEmulated, "no", "emulated"), Default: "no",
			Note:  "emulated says that this server, or its primary, has all slots",
			Usage: "serve clients of Redis Cluster; the server is still one"},
		{Name: "replica-announce-ip", Field: Text(&c.AnnounceIP, "the name or IP address of a host, or nothing for the one that others have reached", isEmptyOrHost), Live: true,
			Usage: "where clients of a cluster, Sentinel and primaries reach this server"},
		{Name: "replica-announce-port", Field: Int(&c.AnnouncePort, 0, portMax), Default: "0", Note: "0 is the port that is listened on", Live: true,
			Usage: "the port where they reach it; with tls-replication the port for TLS"},
	}), In(Memory, []Setting{
		{Name: "max-log-limit", Field: Int(&c.MaxLogLimit, 1, engine.LogLimitMax), Default: strconv.Itoa(engine.LogLimitDefault),
			Usage: "highest limit of a sliding_window_log, which keeps every admitted request"},
		{Name: "maxmemory", Field: maxMemory(&c.MaxMemory), Default: "0", Live: true,
			Usage: "memory for keys and logs; at the bound idle keys are reclaimed, then those nearest to idle are evicted"},
	}), In(Logging, []Setting{
		{Name: "slowlog-log-slower-than", Field: Int(&c.SlowlogThreshold, -1, 3_600_000_000).In("microseconds"), Default: "10000",
			Note: "0 logs every command, -1 none", Live: true, Usage: "log commands that take longer than this"},
		{Name: "slowlog-max-len", Field: Int(&c.SlowlogMaxLen, 0, 100_000), Default: "128", Live: true,
			Usage: "slow commands to remember"},
		{Name: "log-level", Default: "info", Live: true,
			Field: OneOf(&c.LogLevel, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError),
			Usage: "the least important log lines to write"},
		{Name: "log-format", Field: OneOf(&c.LogFormat, "auto", "text", "json"), Default: "auto",
			Note: "auto is text on a terminal and json otherwise", Usage: "form of the log"},
	}), In(Replication, []Setting{
		{Name: NameReplicaOf, Field: HostPort(&c.Primary, "host port, or nothing for a primary"),
			Usage: "the primary that this server is a replica of; REPLICAOF changes it"},
		{Name: "tls-replication", Field: Bool(&c.TLSReplication), Default: "no",
			Usage: "speak TLS with the primary, with tls-ca-cert-file for its authority and tls-cert-file to show"},
	}), In(Backend, []Setting{
		{Name: NameBackend, Field: OneOf(&c.Backend, BackendMemory, "redis", BackendCluster, "redis-sentinel"), Default: BackendMemory,
			Usage: "where decisions are made: in this process, or in a Redis that many servers share"},
	}))
}

// maxMemory is Bytes with 0 for no bound, and tells the units.
func maxMemory(to *int64) Field {
	var n int64
	bytes := Bytes(&n, 0)
	f := Bytes(to, MaxMemoryMin)
	f.Accepts = "0 for no bound, or bytes from " + sizeText(MaxMemoryMin) + " on, with k, m and g for thousands and kb, mb and gb for 1024s"
	f.Set = func(text string) bool {
		return bytes.Set(text) && (n == 0 || n >= MaxMemoryMin) && put(to, n)
	}
	return f
}

// port is a port to listen on.
func port(to *int) Field { return OrAuto(to, PortAuto, Int(to, 0, portMax)) }

func isEmptyOrHost(text string) bool { return text == "" || IsHost(text) }

func isBindHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost"
}

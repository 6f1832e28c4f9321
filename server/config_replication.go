package server

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// ReplicationConfig is what is kept beyond the process: on disk, and on replicas. Names and
// meanings are Redis's.
type ReplicationConfig struct {
	Dir                string // of the files
	AppendOnly         bool
	AppendFsync        string // FsyncAlways, FsyncEverySecond or FsyncNo
	Save               []SavePoint
	RewritePercentage  int   // growth of the append-only file that has it rewritten; 0: never
	RewriteMinSize     int64 // bytes that it has at least when it is
	OnDiskFailure      string
	Primary            Address // of a replica
	MasterAuth         string
	MasterUser         string
	TLS                bool // to the primary
	ReplicaPriority    int
	AnnounceIP         string // empty: the one that the primary sees
	AnnouncePort       int    // 0: the one that is listened on
	MinReplicasToWrite int
	MinReplicasMaxLag  time.Duration
	BacklogSize        int64 // bytes
	ReplTimeout        time.Duration
}

// The values of appendfsync.
const (
	FsyncAlways      = "always"
	FsyncEverySecond = "everysec"
	FsyncNo          = "no"
)

// The values of on-disk-failure.
const (
	DiskFailureError  = "error"
	DiskFailureMemory = "memory"
)

// A SavePoint has a snapshot written when so many changes are older than so long.
type SavePoint struct {
	After   time.Duration // whole seconds
	Changes int64
}

// An Address is where a server listens; without a host it is none.
type Address struct {
	Host string
	Port int
}

// String is the address as REPLICAOF takes it.
func (a Address) String() string {
	if a.Host == "" {
		return ""
	}
	return a.Host + " " + strconv.Itoa(a.Port)
}

const (
	backlogSizeMin = 1 << 20 // bytes
	hostBytesMax   = 255     // of a host's name, as in DNS
	savePointsMax  = 16
)

func defaultReplicationConfig() ReplicationConfig {
	return ReplicationConfig{
		Dir:               ".",
		AppendFsync:       FsyncEverySecond,
		RewritePercentage: 100,
		RewriteMinSize:    64 << 20,
		OnDiskFailure:     DiskFailureError,
		ReplicaPriority:   100,
		MinReplicasMaxLag: 10 * time.Second,
		BacklogSize:       16 << 20,
		ReplTimeout:       time.Minute,
	}
}

// replicationSettings are the rows of the table of settings that are about the disk and
// replicas.
var replicationSettings = []Setting{
	{Name: settingDir, Accepts: "the path of a directory",
		Usage: "where the append-only file and the snapshot are",
		set:   func(c *Config, v string) error { return setPath(&c.Replication.Dir, v) },
		get:   func(c *Config) string { return c.Replication.Dir }},
	{Name: settingAppendOnly, Accepts: "yes or no", Live: true,
		Usage: "write every change to the append-only file, so that a restart forgets nothing",
		set:   func(c *Config, v string) error { return setBool(&c.Replication.AppendOnly, v) },
		get:   func(c *Config) string { return yesNo(c.Replication.AppendOnly) }},
	{Name: "appendfsync", Accepts: "always, everysec or no", Live: true,
		Usage: "when the append-only file is synced to disk: before a change is answered, each second, or when the system does",
		set: func(c *Config, v string) error {
			return setOneOf(&c.Replication.AppendFsync, v, FsyncAlways, FsyncEverySecond, FsyncNo)
		},
		get: func(c *Config) string { return c.Replication.AppendFsync }},
	{Name: settingSave, Accepts: fmt.Sprintf("up to %d pairs of seconds and changes, or nothing for never", savePointsMax), Live: true,
		Usage: "write a snapshot when there were so many changes and the last one is so old, and at shutdown",
		set:   func(c *Config, v string) error { return setSavePoints(&c.Replication.Save, v) },
		get:   func(c *Config) string { return savePointsText(c.Replication.Save) }},
	{Name: "auto-aof-rewrite-percentage", Accepts: "0 to 1000000; 0 is never", Live: true,
		Usage: "rewrite the append-only file when it has grown by so much since the last time",
		set:   func(c *Config, v string) error { return setInt(&c.Replication.RewritePercentage, v, 0, 1_000_000) },
		get:   func(c *Config) string { return strconv.Itoa(c.Replication.RewritePercentage) }},
	{Name: "auto-aof-rewrite-min-size", Accepts: "bytes, with units as maxmemory", Live: true,
		Usage: "leave an append-only file alone that is smaller",
		set:   func(c *Config, v string) error { return setMemory(&c.Replication.RewriteMinSize, v, 0) },
		get:   func(c *Config) string { return strconv.FormatInt(c.Replication.RewriteMinSize, 10) }},
	{Name: "on-disk-failure", Accepts: "error or memory", Live: true,
		Usage: "what becomes of changes that cannot be written to disk: they are refused, or go on in memory only, with an alarm",
		set: func(c *Config, v string) error {
			return setOneOf(&c.Replication.OnDiskFailure, v, DiskFailureError, DiskFailureMemory)
		},
		get: func(c *Config) string { return c.Replication.OnDiskFailure }},
	{Name: SettingReplicaOf, Accepts: "host port, or nothing for a primary",
		Usage: "the primary that this server is a replica of; REPLICAOF changes it",
		set:   func(c *Config, v string) error { return setPrimary(&c.Replication.Primary, v) },
		get:   func(c *Config) string { return c.Replication.Primary.String() }},
	{Name: "masterauth", Accepts: "a password, or nothing for none", Live: true, secret: true,
		Usage: "password of the primary; better in the environment or the file than on the command line",
		set:   func(c *Config, v string) error { c.Replication.MasterAuth = v; return nil },
		get:   func(c *Config) string { return c.Replication.MasterAuth }},
	{Name: "masteruser", Accepts: "a name, or nothing for the default user", Live: true,
		Usage: "user of the primary",
		set:   func(c *Config, v string) error { c.Replication.MasterUser = v; return nil },
		get:   func(c *Config) string { return c.Replication.MasterUser }},
	{Name: "tls-replication", Accepts: "yes or no",
		Usage: "speak TLS with the primary, with tls-ca-cert-file for its authority and tls-cert-file to show",
		set:   func(c *Config, v string) error { return setBool(&c.Replication.TLS, v) },
		get:   func(c *Config) string { return yesNo(c.Replication.TLS) }},
	{Name: "replica-priority", Accepts: "0 to 2147483647; 0 is never", Live: true,
		Usage: "Sentinel makes the replica with the lowest one the primary",
		set:   func(c *Config, v string) error { return setInt(&c.Replication.ReplicaPriority, v, 0, math.MaxInt32) },
		get:   func(c *Config) string { return strconv.Itoa(c.Replication.ReplicaPriority) }},
	{Name: "replica-announce-ip", Accepts: "a host, or nothing for the one that the primary sees", Live: true,
		Usage: "where others reach this replica",
		set:   func(c *Config, v string) error { return setHost(&c.Replication.AnnounceIP, v) },
		get:   func(c *Config) string { return c.Replication.AnnounceIP }},
	{Name: "replica-announce-port", Accepts: "0 to 65535; 0 is the port that is listened on", Live: true,
		Usage: "the port where others reach this replica",
		set:   func(c *Config, v string) error { return setInt(&c.Replication.AnnouncePort, v, 0, math.MaxUint16) },
		get:   func(c *Config) string { return strconv.Itoa(c.Replication.AnnouncePort) }},
	{Name: "min-replicas-to-write", Accepts: "0 to 1000; 0 is none", Live: true,
		Usage: "refuse changes while fewer replicas have been heard of within min-replicas-max-lag",
		set:   func(c *Config, v string) error { return setInt(&c.Replication.MinReplicasToWrite, v, 0, 1000) },
		get:   func(c *Config) string { return strconv.Itoa(c.Replication.MinReplicasToWrite) }},
	{Name: "min-replicas-max-lag", Accepts: "seconds, 1 to 3600", Live: true,
		Usage: "how long ago a replica may have been heard of to count for min-replicas-to-write",
		set:   func(c *Config, v string) error { return setSeconds(&c.Replication.MinReplicasMaxLag, v, 1, 3600) },
		get:   func(c *Config) string { return seconds(c.Replication.MinReplicasMaxLag) }},
	{Name: "repl-backlog-size", Live: true,
		Accepts: fmt.Sprintf("bytes from %dmb on, with units as maxmemory", backlogSizeMin>>20),
		Usage:   "changes to remember for replicas that come back, and the most that may wait for one of them",
		set:     func(c *Config, v string) error { return setMemory(&c.Replication.BacklogSize, v, backlogSizeMin) },
		get:     func(c *Config) string { return strconv.FormatInt(c.Replication.BacklogSize, 10) }},
	{Name: "repl-timeout", Accepts: "seconds, 1 to 3600", Live: true,
		Usage: "end the link between primary and replica when one has not heard of the other for this long",
		set:   func(c *Config, v string) error { return setSeconds(&c.Replication.ReplTimeout, v, 1, 3600) },
		get:   func(c *Config) string { return seconds(c.Replication.ReplTimeout) }},
}

// The settings that are named elsewhere.
const (
	SettingReplicaOf  = "replicaof"
	settingDir        = "dir"
	settingAppendOnly = "appendonly"
	settingSave       = "save"
)

// isAboutReplication says whether a setting is about the disk and replicas.
func isAboutReplication(setting string) bool {
	for _, row := range replicationSettings {
		if row.Name == setting {
			return true
		}
	}
	return false
}

// Asked names a setting by which c asks for something to be kept beyond the process; it is
// empty if none does.
func (c *ReplicationConfig) Asked() string {
	switch {
	case c.AppendOnly:
		return settingAppendOnly
	case len(c.Save) > 0:
		return settingSave
	case c.Primary.Host != "":
		return SettingReplicaOf
	}
	return ""
}

func setPath(to *string, value string) error {
	if value == "" {
		return errNotAccepted
	}
	*to = value
	return nil
}

// setSavePoints parses "3600 1 300 100".
func setSavePoints(to *[]SavePoint, value string) error {
	words := strings.Fields(value)
	if len(words)%2 != 0 || len(words) > 2*savePointsMax {
		return errNotAccepted
	}
	var points []SavePoint
	for i := 0; i < len(words); i += 2 {
		var p SavePoint
		if setSeconds(&p.After, words[i], 1, 31_536_000) != nil || setInt(&p.Changes, words[i+1], 1, math.MaxInt32) != nil {
			return errNotAccepted
		}
		points = append(points, p)
	}
	*to = points
	return nil
}

func savePointsText(points []SavePoint) string {
	var words []string
	for _, p := range points {
		words = append(words, seconds(p.After), strconv.FormatInt(p.Changes, 10))
	}
	return strings.Join(words, " ")
}

// setPrimary parses "host port"; nothing and "no one" are none.
func setPrimary(to *Address, value string) error {
	words := strings.Fields(value)
	if len(words) == 0 || len(words) == 2 && equalFold(words[0], "no") && equalFold(words[1], "one") {
		*to = Address{}
		return nil
	}
	var a Address
	if len(words) != 2 || setHost(&a.Host, words[0]) != nil || setInt(&a.Port, words[1], 1, math.MaxUint16) != nil {
		return errNotAccepted
	}
	*to = a
	return nil
}

// setHost takes a name or an IP address, which nobody looks up yet.
func setHost(to *string, value string) error {
	if len(value) > hostBytesMax {
		return errNotAccepted
	}
	if net.ParseIP(value) == nil {
		for _, c := range []byte(value) {
			if c <= ' ' || c > '~' || strings.IndexByte(`/:[]@"'\,`, c) >= 0 {
				return errNotAccepted
			}
		}
	}
	*to = value
	return nil
}

package bench

import (
	"net"
	"os"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"
	psnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// usageOf is what a process has used so far, or nil if that cannot be read.
func usageOf(pid int32) *Usage {
	if pid == 0 {
		return nil
	}
	p, err := process.NewProcess(pid)
	if err != nil {
		return nil
	}
	times, err := p.Times()
	if err != nil {
		return nil
	}
	u := &Usage{CPU: time.Duration((times.User + times.System) * float64(time.Second))}
	if memory, err := p.MemoryInfo(); err == nil {
		u.ResidentBytes = int64(memory.RSS)
	}
	return u
}

// ownUsage is that of this process.
func ownUsage() *Usage {
	if u := usageOf(int32(os.Getpid())); u != nil {
		return u
	}
	return &Usage{}
}

// since is what was used between two readings.
func (u *Usage) since(before *Usage) *Usage {
	if u == nil || before == nil {
		return nil
	}
	return &Usage{CPU: u.CPU - before.CPU, ResidentBytes: u.ResidentBytes}
}

// listenerOf is the process on this machine that listens where a connection leads, or 0.
func listenerOf(nc net.Conn) int32 {
	far, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok || !isLocal(far.IP) {
		return 0
	}
	sockets, err := psnet.Connections("tcp")
	if err != nil {
		return 0
	}
	for _, s := range sockets {
		ip := net.ParseIP(s.Laddr.IP)
		if s.Status == "LISTEN" && int(s.Laddr.Port) == far.Port && (ip.IsUnspecified() || ip.Equal(far.IP)) {
			return s.Pid
		}
	}
	return 0
}

// isLocal says whether an address is of this machine.
func isLocal(ip net.IP) bool {
	if ip.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, address := range own {
		if n, ok := address.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}

// thisMachine describes the machine, as far as it can be learned.
func thisMachine() Machine {
	var m Machine
	if h, err := host.Info(); err == nil {
		release, _, _ := strings.Cut(h.KernelVersion, "-") // behind it is the name of a build
		m.System = h.OS + " " + release + " " + h.KernelArch
	}
	if c, err := cpu.Info(); err == nil && len(c) > 0 {
		m.Processor = c[0].ModelName
	}
	m.Cores, _ = cpu.Counts(true)
	if v, err := mem.VirtualMemory(); err == nil {
		m.MemoryBytes = int64(v.Total)
	}
	return m
}

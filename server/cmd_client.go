package server

import (
	"slices"
	"strings"
)

func cmdUnknownSubcommand(r *request) {
	r.fail(errUnknownSubcommand(r.command.name, r.args[1]))
}

func cmdClientGetName(r *request) {
	if name := text(&r.name); name != "" {
		r.conn.WriteBulkString(name)
	} else {
		r.writeNull()
	}
}

func cmdClientSetName(r *request) {
	name := r.arg(2)
	if !isClientName(name) {
		r.fail(errClientName)
		return
	}
	r.name.Store(&name)
	r.writeOK()
}

func cmdClientSetInfo(r *request) {
	value := r.arg(3)
	attribute := lower(r.arg(2))
	if attribute != "lib-name" && attribute != "lib-ver" {
		r.fail("ERR Unrecognized option '" + r.arg(2) + "'")
		return
	}
	if !isClientName(value) {
		r.fail("ERR " + attribute + " cannot contain spaces, newlines or special characters.")
		return
	}
	if attribute == "lib-name" {
		r.libName.Store(&value)
	} else {
		r.libVer.Store(&value)
	}
	r.writeOK()
}

func cmdClientID(r *request) { r.conn.WriteInt64(r.id) }

func cmdClientInfo(r *request) { r.writeText(r.describe(r.now) + "\n") }

func cmdClientNoEvict(r *request) { r.onOff(r.noEvict.Store) }
func cmdClientNoTouch(r *request) { r.onOff(r.noTouch.Store) }

func (r *request) onOff(set func(bool)) {
	switch lower(r.arg(2)) {
	case "on":
		set(true)
	case "off":
		set(false)
	default:
		r.fail(errSyntax)
		return
	}
	r.writeOK()
}

// A clientFilter chooses connections; the zero filter chooses all.
type clientFilter struct {
	ids               []int64
	addr, laddr, kind string
	user              string
	sparesSelf        bool
}

func (f *clientFilter) matches(c, self *client) bool {
	return (len(f.ids) == 0 || slices.Contains(f.ids, c.id)) &&
		(f.addr == "" || c.addr == f.addr) &&
		(f.laddr == "" || c.laddr == f.laddr) &&
		(f.kind == "" || f.kind == c.kind()) &&
		(f.user == "" || f.user == "default") &&
		(!f.sparesSelf || c != self)
}

// parse reads filters from the words of a command. many allows several ids behind ID.
func (f *clientFilter) parse(words [][]byte, many bool) (problem string) {
	for len(words) > 0 {
		if len(words) < 2 {
			return errSyntax
		}
		value, taken := string(words[1]), 2
		switch lower(words[0]) {
		case "id":
			for taken = 1; taken < len(words) && (many || taken == 1); taken++ {
				id, ok := wholeNumber(words[taken])
				switch {
				case many && !ok:
					return errClientListID
				case !many && (!ok || id < 1):
					return errClientID
				}
				f.ids = append(f.ids, id)
			}
		case "addr":
			f.addr = value
		case "laddr":
			f.laddr = value
		case "type":
			f.kind = lower(value)
			if f.kind == "slave" {
				f.kind = kindReplica
			}
			if !slices.Contains([]string{kindNormal, kindMaster, kindReplica, kindPubsub}, f.kind) {
				return "ERR Unknown client type '" + value + "'"
			}
		case "user":
			if value != "default" {
				return "ERR No such user '" + value + "'"
			}
			f.user = value
		case "skipme":
			if !equalFold(value, "yes") && !equalFold(value, "no") {
				return errSyntax
			}
			f.sparesSelf = equalFold(value, "yes")
		default:
			return errSyntax
		}
		words = words[taken:]
	}
	return ""
}

func cmdClientList(r *request) {
	var filter clientFilter
	if problem := filter.parse(r.args[2:], true); problem != "" {
		r.fail(problem)
		return
	}
	var list strings.Builder
	for _, c := range r.server.clients.all() {
		if filter.matches(c, r.client) {
			list.WriteString(c.describe(r.now) + "\n")
		}
	}
	r.writeText(list.String())
}

// cmdClientKill takes an address, and then replies OK or an error, or filters, and then
// replies how many connections it closed.
func cmdClientKill(r *request) {
	filter := clientFilter{sparesSelf: true}
	byAddress := len(r.args) == 3
	if byAddress {
		filter = clientFilter{addr: r.arg(2)}
	} else if problem := filter.parse(r.args[2:], false); problem != "" {
		r.fail(problem)
		return
	}
	killed, self := 0, false
	for _, c := range r.server.clients.all() {
		switch {
		case !filter.matches(c, r.client):
			continue
		case c == r.client:
			self = true
		default:
			c.kill()
		}
		killed++
	}
	switch {
	case !byAddress:
		r.conn.WriteInt(killed)
	case killed == 0:
		r.fail(errNoClient)
	default:
		r.writeOK()
	}
	if self { // the answer goes out first
		r.hangUp()
	}
}

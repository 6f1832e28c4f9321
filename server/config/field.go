package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rlserver/rlserver/policy"
)

// A Field is where the value of a setting goes: a pointer with a kind, which says how values are
// written, and a range.
type Field struct {
	Accepts string                 // the accepted values, in words
	Set     func(text string) bool // changes the field; false: not accepted, and unchanged
	Get     func() string          // in the syntax of Set
	List    bool                   // several values
	Secret  bool                   // not to be shown in the log
	Path    bool                   // of a file or a directory
	Words   []string               // the values that are words, for completion
}

// Int is a whole number.
func Int[T int | int64](to *T, low, high int64) Field {
	return Field{
		Accepts: strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10),
		Set: func(text string) bool {
			n, ok := policy.Number(text)
			return ok && low <= n && n <= high && put(to, T(n))
		},
		Get: func() string { return strconv.FormatInt(int64(*to), 10) },
	}
}

// In names the unit of a number.
func (f Field) In(unit string) Field {
	f.Accepts = unit + ", " + f.Accepts
	return f
}

// OrAuto is f with the word auto for one number.
func OrAuto(to *int, auto int, f Field) Field { return or(to, "auto", "auto", auto, f) }

// OrNone is f with 0 for none.
func OrNone(to *time.Duration, f Field) Field { return or(to, "0", "0 for none", 0, f) }

// or is f with a word for one value.
func or[T comparable](to *T, word, accepts string, value T, f Field) Field {
	return Field{
		Words:   []string{word},
		Accepts: accepts + ", or " + f.Accepts,
		Set:     func(text string) bool { return same(text, word) && put(to, value) || f.Set(text) },
		Get: func() string {
			if *to == value {
				return word
			}
			return f.Get()
		},
	}
}

// Permissions are those of a file, in octal; 0 leaves them to the umask.
func Permissions(to *int) Field {
	return Field{
		Accepts: "octal permissions from 1 to 777, or 0 for those of the umask",
		Set: func(text string) bool {
			n, err := strconv.ParseUint(text, 8, 16)
			return err == nil && n <= 0o777 && put(to, int(n))
		},
		Get: func() string { return strconv.FormatInt(int64(*to), 8) },
	}
}

// Every time is whole seconds, or a number with its unit, as the period of a limit is written.

// Seconds is a time that is a whole number of seconds. It is shown as Redis shows it, without the
// unit.
func Seconds(to *time.Duration, low, high int64) Field {
	return Field{
		Accepts: fmt.Sprintf("%d to %d, in whole seconds or with s, m, h or d", low, high),
		Set: func(text string) bool {
			span, ok := policy.Span(text)
			return ok && span%time.Second == 0 && time.Duration(low) <= span/time.Second && span/time.Second <= time.Duration(high) && put(to, span)
		},
		Get: func() string { return strconv.FormatInt(int64(*to/time.Second), 10) },
	}
}

// Span is a time of at least a millisecond. It is shown with its unit.
func Span(to *time.Duration, high time.Duration) Field {
	most, units := fmt.Sprintf("%ds", high/time.Second), "ms or s"
	if high >= time.Hour {
		most, units = fmt.Sprintf("%dh", high/time.Hour), "ms, s, m or h"
	}
	return Field{
		Accepts: fmt.Sprintf("1ms to %s, in whole seconds or with %s", most, units),
		Set: func(text string) bool {
			span, ok := policy.Span(text)
			return ok && 0 < span && span <= high && put(to, span)
		},
		Get: func() string {
			if *to%time.Second != 0 {
				return strconv.FormatInt(to.Milliseconds(), 10) + "ms"
			}
			return strconv.FormatInt(int64(*to/time.Second), 10) + "s"
		},
	}
}

// Bytes is an amount of memory, with Redis's units.
func Bytes(to *int64, low int64) Field {
	from := ""
	if low > 0 {
		from = " from " + sizeText(low) + " on"
	}
	return Field{
		Accepts: "bytes" + from + ", with units as maxmemory",
		Set: func(text string) bool {
			n, ok := bytes(strings.ToLower(text))
			return ok && n >= low && put(to, n)
		},
		Get: func() string { return strconv.FormatInt(*to, 10) },
	}
}

// Bool is yes or no.
func Bool(to *bool) Field {
	f := choice(to, []string{"yes", "no", "true", "false"}, []bool{true, false, true, false})
	f.Accepts, f.Words = "yes or no", f.Words[:2]
	return f
}

// Either is one of two words, of which the second is true.
func Either(to *bool, no, yes string) Field {
	return choice(to, []string{no, yes}, []bool{false, true})
}

// OneOf is one of a few values that have names, in any case.
func OneOf[T comparable](to *T, values ...T) Field {
	var names []string
	for _, v := range values {
		names = append(names, strings.ToLower(fmt.Sprint(v)))
	}
	return choice(to, names, values)
}

// choice is one of names, each of which means the value at its place.
func choice[T comparable](to *T, names []string, values []T) Field {
	last := len(names) - 1
	return Field{
		Words:   names,
		Accepts: strings.Join(names[:last], ", ") + " or " + names[last],
		Set: func(text string) bool {
			i := slices.IndexFunc(names, func(name string) bool { return same(text, name) })
			return i >= 0 && put(to, values[i])
		},
		Get: func() string {
			if i := slices.Index(values, *to); i >= 0 {
				return names[i]
			}
			return ""
		},
	}
}

// Text is any text that passes the checks.
func Text(to *string, accepts string, checks ...func(string) bool) Field {
	return Field{
		Accepts: accepts,
		Set: func(text string) bool {
			fails := func(check func(string) bool) bool { return !check(text) }
			return !slices.ContainsFunc(checks, fails) && put(to, text)
		},
		Get: func() string { return *to },
	}
}

// Path is the path of a file or a directory.
func Path(to *string, accepts string, checks ...func(string) bool) Field {
	f := Text(to, accepts, checks...)
	f.Path = true
	return f
}

// Password is a text that the log does not show.
func Password(to *string) Field {
	f := Text(to, "a password, or nothing for none")
	f.Secret = true
	return f
}

// List is one or more items that pass a check, separated by commas or spaces. separator is the
// one that Get uses.
func List(to *[]string, separator, accepts string, check func(string) bool) Field {
	return Field{
		Accepts: accepts,
		Set: func(text string) bool {
			items := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
			fails := func(item string) bool { return !check(item) }
			return len(items) > 0 && !slices.ContainsFunc(items, fails) && put(to, items)
		},
		Get:  func() string { return strings.Join(*to, separator) },
		List: true,
	}
}

// An Address is where a server listens; without a host it is none.
type Address struct {
	Host string
	Port int
}

// HostPort is an address as REPLICAOF takes it: nothing and “no one” are none.
func HostPort(to *Address, accepts string) Field {
	return Field{
		Accepts: accepts,
		Set: func(text string) bool {
			words := strings.Fields(text)
			if len(words) == 0 || len(words) == 2 && same(words[0], "no") && same(words[1], "one") {
				return put(to, Address{})
			}
			var a Address
			return len(words) == 2 && IsHost(words[0]) && Int(&a.Port, 1, math.MaxUint16).Set(words[1]) &&
				put(to, Address{words[0], a.Port})
		},
		Get: func() string {
			if to.Host == "" {
				return ""
			}
			return to.Host + " " + strconv.Itoa(to.Port)
		},
	}
}

// hostBytesMax and hostLabelMax bound the name of a host and its labels, as DNS does.
const (
	hostBytesMax = 255
	hostLabelMax = 63
)

// IsHost says whether text is an IP address or can be the name of a host. Nothing looks it up. A
// name is labels of letters, digits, hyphens and underscores, none of which begins or ends with a
// hyphen. The last has a letter: 1.2.3 is neither a name nor an address.
func IsHost(text string) bool {
	if addr, err := netip.ParseAddr(text); err == nil {
		return isLabels(addr.Zone()) || addr.Zone() == ""
	}
	last := text[strings.LastIndexByte(strings.TrimSuffix(text, "."), '.')+1:]
	return isLabels(strings.TrimSuffix(text, ".")) && strings.ContainsFunc(last, isLetter)
}

func isLabels(text string) bool {
	wrong := func(label string) bool {
		return label == "" || len(label) > hostLabelMax || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(c rune) bool { return c != '-' && (c < '0' || c > '9') && !isLetter(c) })
	}
	return len(text) <= hostBytesMax && !slices.ContainsFunc(strings.Split(text, "."), wrong)
}

func isLetter(c rune) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// IsHostPort says whether text is host:port, with an IPv6 address in brackets.
func IsHostPort(text string) bool {
	host, number, err := net.SplitHostPort(text)
	var port int
	return err == nil && IsHost(host) && Int(&port, 1, math.MaxUint16).Set(number)
}

// put changes a field. It is true, so that it can end a condition.
func put[T any](to *T, value T) bool {
	*to = value
	return true
}

// same compares words in any case. Equal lengths keep out letters that Unicode folds to ASCII, such as
// the Kelvin sign, because it is longer.
func same(text, word string) bool { return len(text) == len(word) && strings.EqualFold(text, word) }

// byteUnits may stand behind a number of bytes. They are Redis's: k is a thousand, kb 1024. A suffix
// stands before those that it ends in.
var byteUnits = [...]struct {
	suffix string
	size   int64
}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"b", 1}, {"", 1}}

// bytes is a number of bytes with a unit, 0 or more.
func bytes(text string) (int64, bool) {
	for _, u := range byteUnits {
		if number, found := strings.CutSuffix(text, u.suffix); found {
			n, ok := policy.Number(number)
			return n * u.size, ok && n >= 0 && n <= math.MaxInt64/u.size
		}
	}
	return 0, false
}

// sizeText is a round number of bytes.
func sizeText(bytes int64) string {
	if bytes%(1<<20) == 0 {
		return fmt.Sprintf("%dmb", bytes>>20)
	}
	return fmt.Sprintf("%dkb", bytes>>10)
}

package policy

import (
	"fmt"
	"strings"
	"testing"
)

// A clock is set by hand, in µs.
type clock int64

const second = 1_000_000

func newSet(at *clock) *Set { return NewSet(func() int64 { return int64(*at) }, 100_000) }

// must parses a definition.
func must(t *testing.T, text string) Definition {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

// put puts a change in force, and checks that the set can be made of its entries.
func put(t *testing.T, s *Set, entries []Entry, err error) {
	t.Helper()
	if err == nil {
		err = s.Apply(entries)
	}
	if err != nil {
		t.Fatal(err)
	}
	other := newSet(new(clock))
	if err := other.Replace(all(s)); err != nil {
		t.Fatal(err)
	}
	if a, b := fmt.Sprint(all(s)), fmt.Sprint(all(other)); a != b {
		t.Fatalf("a set of the same entries is\n%s\nand not\n%s", b, a)
	}
}

func all(s *Set) (all []Entry) {
	s.Entries(func(e Entry) { all = append(all, e) })
	return all
}

// show is a plan with its suffixes and formers.
func show(p *Plan) string {
	if p == nil {
		return "none"
	}
	text := p.Verdict.String()
	if p.Verdict == Ask {
		text = ""
		for _, l := range p.Limits {
			text += l.Suffix
			for _, f := range l.Formers {
				text += " <" + f.Suffix + fmt.Sprintf(" %d", f.Until/second)
			}
			text += " "
		}
	}
	return strings.TrimSpace(text)
}

// A world is a set and its clock, with changes as words.
type world struct {
	t  *testing.T
	at *clock
	s  *Set
}

func newWorld(t *testing.T) *world {
	at := new(clock)
	return &world{t, at, newSet(at)}
}

func (w *world) put(name, text string) {
	w.t.Helper()
	entries, err := w.s.Put(name, must(w.t, text))
	put(w.t, w.s, entries, err)
}

func (w *world) override(name, key, text string) {
	w.t.Helper()
	entries, err := w.s.Override(name, key, must(w.t, text))
	put(w.t, w.s, entries, err)
}

func (w *world) unset(name, key string) {
	w.t.Helper()
	entries, err := w.s.Unset(name, key)
	put(w.t, w.s, entries, err)
}

func (w *world) del(name string) {
	w.t.Helper()
	entries, err := w.s.Delete(name)
	put(w.t, w.s, entries, err)
}

func (w *world) file(defs ...FileDefinition) {
	w.t.Helper()
	entries, err := w.s.File(defs)
	put(w.t, w.s, entries, err)
}

func (w *world) inFile(name, text string, overrides ...string) FileDefinition {
	d := FileDefinition{Name: name, Definition: must(w.t, text), Overrides: map[string]Definition{}}
	for i := 0; i < len(overrides); i += 2 {
		d.Overrides[overrides[i]] = must(w.t, overrides[i+1])
	}
	return d
}

// wants checks the plan of a key.
func (w *world) wants(name, key, want string) {
	w.t.Helper()
	if got := show(w.s.Find(name).For(key)); got != want {
		w.t.Errorf("the plan of %s @%s is %s, want %s", key, name, got, want)
	}
}

func (w *world) refuses(want string, change func() ([]Entry, error)) {
	w.t.Helper()
	before := fmt.Sprint(all(w.s))
	entries, err := change()
	if err == nil || !strings.Contains(err.Error(), want) || entries != nil || fmt.Sprint(all(w.s)) != before {
		w.t.Errorf("the error is %v, want %s", err, want)
	}
}

func TestOverrides(t *testing.T) {
	w := newWorld(t)
	w.put("api", "token_bucket 100 1s")
	w.override("api", "k", "token_bucket 200 1s")
	w.wants("api", "k", "@api:t200/1s <@api:t100/1s 3")
	w.wants("api", "other", "@api:t100/1s")
	w.override("api", "k", "token_bucket 300 1s")
	w.wants("api", "k", "@api:t300/1s <@api:t200/1s 3 <@api:t100/1s 3")
	w.put("api", "token_bucket 50 1s") // which is not that of the key
	w.wants("api", "k", "@api:t300/1s <@api:t200/1s 3 <@api:t100/1s 3")
	w.wants("api", "other", "@api:t50/1s <@api:t100/1s 3")
	w.unset("api", "k")
	w.wants("api", "k", "@api:t50/1s <@api:t300/1s 3 <@api:t200/1s 3 <@api:t100/1s 3")
	w.put("api", "token_bucket 60 1s")
	w.wants("api", "k", "@api:t60/1s <@api:t50/1s 3 <@api:t300/1s 3 <@api:t200/1s 3 <@api:t100/1s 3")
	w.override("api", "k", "deny")
	w.wants("api", "k", "deny")
	w.override("api", "a key with blanks", "allow")
	w.wants("api", "a key with blanks", "allow")
	if p := w.s.Find("api"); p.Overrides() != 2 || w.s.Overrides() != 2 || p.Version() != w.s.Version() || w.s.Version() != 8 {
		t.Errorf("%d overrides, %d in all, version %d of %d", p.Overrides(), w.s.Overrides(), p.Version(), w.s.Version())
	}
	w.unset("api", "k")
	w.wants("api", "k", "@api:t60/1s <@api:t50/1s 3 <@api:t300/1s 3 <@api:t200/1s 3 <@api:t100/1s 3")
	keys := ""
	w.s.Find("api").EachOverride(func(key string, p *Plan) { keys += key + "=" + p.String() })
	if keys != "a key with blanks=allow" {
		t.Error(keys)
	}
	w.del("api")
	if len(all(w.s)) != 0 || w.s.Overrides() != 0 || w.s.Policies() != 0 || w.s.Find("api") != nil {
		t.Errorf("%v is left", all(w.s))
	}
}

// What an unset override has left ends with a change after its formers are over.
func TestRestsEnd(t *testing.T) {
	w := newWorld(t)
	w.put("api", "token_bucket 100 1s")
	for i := range 10 {
		w.override("api", fmt.Sprint(i), "token_bucket 200 1s")
		w.unset("api", fmt.Sprint(i))
	}
	if n := len(all(w.s)); n != 11 {
		t.Fatalf("%d entries", n)
	}
	*w.at += 10 * second
	for range 3 {
		w.put("other", "token_bucket 100 1s")
	}
	if n := len(all(w.s)); n != 2 {
		t.Errorf("%d entries are left: %v", n, all(w.s))
	}
	w.wants("api", "1", "@api:t100/1s")
	for range 3 {
		w.put("other", "token_bucket 100 1s")
	}
	if len(w.s.rests) != 0 {
		t.Errorf("%v are still looked at", w.s.rests)
	}
}

// Unset overrides take a bounded memory; the rests that there are stay. Those of a policy that is deleted
// are given up at once.
func TestRestsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.put("api", "token_bucket 100 1s")
	for i := range 3 * restsLooked {
		w.override("api", fmt.Sprint(i), "token_bucket 200 1s")
		w.unset("api", fmt.Sprint(i))
	}
	w.override("api", "k", "token_bucket 200 1s")
	many := restsMax - w.s.rested
	w.s.rested += many // as if there were
	w.unset("api", "k")
	w.wants("api", "k", "@api:t100/1s")
	w.put("api", "token_bucket 50 1s")
	w.wants("api", "0", "@api:t50/1s <@api:t100/1s 3 <@api:t200/1s 3")
	w.del("api")
	w.put("other", "token_bucket 100 1s")
	if w.s.rested -= many; w.s.rested != 0 || len(w.s.rests) != 0 {
		t.Errorf("%d of %d are left", w.s.rested, len(w.s.rests))
	}
}

func TestTheFile(t *testing.T) {
	w := newWorld(t)
	w.put("mine", "allow")
	w.file(w.inFile("api", "token_bucket 1 1s", "a", "deny", "b", "allow"), w.inFile("mine", "deny", "a", "deny"), w.inFile("more", "deny"))
	w.wants("api", "k", "@api:t1/1s")
	w.wants("api", "a", "deny")
	w.wants("mine", "k", "allow") // what was set at run time goes before
	w.wants("mine", "a", "deny")
	if !w.s.Find("api").FromFile() || w.s.Find("mine").FromFile() {
		t.Error("it is not known what the file has")
	}
	version := w.s.Version()
	w.file(w.inFile("api", "token_bucket 1 1s", "a", "deny", "b", "allow"), w.inFile("mine", "deny", "a", "deny"), w.inFile("more", "deny"))
	if w.s.Version() != version {
		t.Error("the same file again is a change")
	}

	w.put("api", "token_bucket 2 1s")
	w.override("api", "a", "token_bucket 3 1s")
	w.wants("api", "b", "allow")
	w.file(w.inFile("api", "token_bucket 9 1s", "a", "allow", "c", "allow"), w.inFile("mine", "deny"))
	w.wants("api", "k", "@api:t2/1s <@api:t1/1s 4")
	w.wants("api", "a", "@api:t3/1s")
	w.wants("api", "b", "@api:t2/1s <@api:t1/1s 4")
	w.wants("api", "c", "allow")
	w.wants("mine", "a", "allow")
	if w.s.Find("more") != nil {
		t.Error("what the file has no more is still there")
	}
	w.unset("api", "a")
	w.wants("api", "a", "allow")
	w.override("api", "a", "deny")
	w.del("api")
	w.wants("api", "k", "@api:t9/1s <@api:t2/1s 3 <@api:t1/1s 4")
	w.wants("api", "a", "allow")
	w.del("mine")
	w.wants("mine", "k", "deny")

	w.refuses("policy 'api' is of the settings file: delete it there", func() ([]Entry, error) { return w.s.Delete("api") })
	w.refuses("policy 'api': the override for the key 'a' is of the settings file", func() ([]Entry, error) { return w.s.Unset("api", "a") })
	w.file()
	if len(all(w.s)) != 0 {
		t.Errorf("an empty file leaves %v", all(w.s))
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.refuses("unknown policy 'api': there is none yet; RL.POLICY SET and policies in the settings file make some", func() ([]Entry, error) { return w.s.Delete("api") })
	w.put("api", "token_bucket 1 1s")
	w.put("aqi", "token_bucket 1 1s")
	w.put("login-user", "token_bucket 1 1s")
	ok := must(t, "token_bucket 1 1s")
	for _, test := range []struct {
		want   string
		change func() ([]Entry, error)
	}{
		{"unknown policy 'apl': did you mean api? RL.POLICY LIST shows all", func() ([]Entry, error) { return w.s.Delete("apl") }},
		{"unknown policy 'Login_User': did you mean login-user? RL.POLICY LIST shows all", func() ([]Entry, error) { return w.s.Override("Login_User", "k", ok) }},
		{"unknown policy 'nothing like that': RL.POLICY LIST shows all", func() ([]Entry, error) { return w.s.Unset("nothing like that", "k") }},
		{"policy 'api' has no override for the key 'k': RL.POLICY OVERRIDES shows all", func() ([]Entry, error) { return w.s.Unset("api", "k") }},
		{"policy 'api', override for the key '': key is 0 bytes long", func() ([]Entry, error) { return w.s.Override("api", "", ok) }},
		{"policy 'api', override for the key 'k': no limit", func() ([]Entry, error) { return w.s.Override("api", "k", Definition{}) }},
		{`policy name "a b" is not accepted`, func() ([]Entry, error) { return w.s.Put("a b", ok) }},
		{"policy 'new': no limit", func() ([]Entry, error) { return w.s.Put("new", Definition{}) }},
		{"policy 'new': rule 1: limit of sliding_window_log 100001 is out of range", func() ([]Entry, error) { return w.s.Put("new", must(t, "sliding_window_log 100001 1h")) }},
		{"policy 'x' is there twice", func() ([]Entry, error) {
			return w.s.File([]FileDefinition{w.inFile("x", "deny"), w.inFile("x", "allow")})
		}},
		{"policy 'x', override for the key 'k': no limit", func() ([]Entry, error) {
			return w.s.File([]FileDefinition{{Name: "x", Definition: ok, Overrides: map[string]Definition{"k": {}}}})
		}},
	} {
		w.refuses(test.want, test.change)
	}
	w.override("api", "k", "deny")
	w.unset("api", "k")
	w.refuses("policy 'api' has no override for the key 'k'", func() ([]Entry, error) { return w.s.Unset("api", "k") })
}

func TestEntriesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.put("api", "token_bucket 1 1s")
	before := fmt.Sprint(all(w.s))
	for _, e := range []Entry{
		{"a b c", "deny"}, {"", "deny"}, {"ä", "deny"}, {"none k", "deny"}, {"none k", "-"}, {"api", "-\nwhat"}, {"api", "deny\nformer 1 2"},
		{"api", "deny\nformer 0 5 token_bucket 1 1s"}, {"api", "deny\nformer 9 5 token_bucket 1 1s"}, {"api", "deny\nformer 1 x token_bucket 1 1s"},
		{"api", "deny\nformer 1 5 token_bucket 1 1s + token_bucket 2 1s"}, {"api", "deny\nformer 1 5 deny"}, {"api", "what"}, {"api k", "what"},
	} {
		for what, apply := range map[string]func([]Entry) error{"Apply": w.s.Apply, "Replace": w.s.Replace} {
			if err := apply([]Entry{{"new", "deny"}, e}); err == nil || fmt.Sprint(all(w.s)) != before {
				t.Errorf("%s of %q: %v", what, e, err)
			}
		}
	}
	if err := w.s.Apply([]Entry{{"none k", ""}, {"none", ""}}); err != nil {
		t.Errorf("to take away what is not there: %v", err)
	}
}

package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/rlserver/rlserver/engine"
)

// The changes. Each is computed against the set in force and changes nothing; the entries it returns
// are put in force by Apply.

// A FileDefinition is a policy as the settings file has it.
type FileDefinition struct {
	Name string
	Definition
	Overrides map[string]Definition // by key
}

// A change is entries that are computed. Set.mu is held.
type change struct {
	set     *Set
	now     int64
	entries []Entry
	bases   map[string]Definition // of the policies that it changes
}

// change computes a change.
func (s *Set) change(compute func(c *change) error) ([]Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &change{set: s, now: s.now(), bases: map[string]Definition{}}
	if err := compute(c); err != nil {
		return nil, err
	}
	c.forgetRests()
	return c.entries, nil
}

// Put makes or changes a policy. It goes before one of the same name in the settings file.
func (s *Set) Put(name string, d Definition) ([]Entry, error) {
	return s.change(func(c *change) error {
		if err := s.check(name, d); err != nil {
			return err
		}
		p := s.Find(name)
		if p == nil && s.Policies() >= PoliciesMax {
			return fmt.Errorf("policy '%s': there are %d policies: accepted is up to %d", name, s.Policies(), PoliciesMax)
		}
		c.put(p, name, d, false)
		return nil
	})
}

// check finds what is wrong with a policy. The error names it.
func (s *Set) check(name string, d Definition) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := d.Check(s.logLimitMax); err != nil {
		return fmt.Errorf("policy '%s': %w", name, err)
	}
	return nil
}

// Delete takes a policy away, and its overrides, or brings those of the settings file back.
func (s *Set) Delete(name string) ([]Entry, error) {
	return s.change(func(c *change) error {
		p := s.Find(name)
		switch {
		case p == nil:
			return s.Unknown(name)
		case p.FromFile():
			return fmt.Errorf("policy '%s' is of the settings file: delete it there, and RL.POLICY RELOAD; RL.POLICY SET goes before it", name)
		}
		inFile := s.file[name]
		if inFile == nil {
			c.remove(p)
			return nil
		}
		c.put(p, name, inFile.Definition, true)
		p.eachKey(func(key string, own *Plan) {
			if own.Override && !own.File {
				c.unset(p, key, inFile)
			}
		})
		return nil
	})
}

// Override gives one key of a policy another definition.
func (s *Set) Override(name, key string, d Definition) ([]Entry, error) {
	return s.change(func(c *change) error {
		p := s.Find(name)
		if p == nil {
			return s.Unknown(name)
		}
		if err := s.checkOverride(name, key, d); err != nil {
			return err
		}
		own := p.own(key)
		if (own == nil || !own.Override) && s.Overrides() >= OverridesMax {
			return fmt.Errorf("policy '%s': all policies have %d overrides: accepted is up to %d", name, s.Overrides(), OverridesMax)
		}
		c.override(p, name, key, d, false)
		return nil
	})
}

// Unset takes an override away, or brings that of the settings file back.
func (s *Set) Unset(name, key string) ([]Entry, error) {
	return s.change(func(c *change) error {
		p := s.Find(name)
		if p == nil {
			return s.Unknown(name)
		}
		own := p.own(key)
		switch {
		case own == nil || !own.Override:
			return fmt.Errorf("policy '%s' has no override for the key '%s': RL.POLICY OVERRIDES shows all", name, cut([]byte(key)))
		case own.File:
			return fmt.Errorf("policy '%s': the override for the key '%s' is of the settings file: delete it there, and RL.POLICY RELOAD", name, cut([]byte(key)))
		}
		c.unset(p, key, s.file[name])
		return nil
	})
}

// File makes the policies of the settings file what they are there. Those that were set while the
// server runs go before them and stay. The set remembers the file, for Delete and Unset, whether or not
// the entries are put in force.
func (s *Set) File(defs []FileDefinition) ([]Entry, error) {
	return s.change(func(c *change) error {
		file := make(map[string]*FileDefinition, len(defs))
		for i := range defs {
			if err := s.checkFile(file, &defs[i]); err != nil {
				return err
			}
			file[defs[i].Name] = &defs[i]
		}
		s.file = file
		for i := range defs {
			c.fromFile(&defs[i])
		}
		for _, p := range s.sorted() {
			if inFile := file[p.name]; inFile != nil {
				continue
			} else if p.FromFile() {
				c.remove(p)
				continue
			}
			c.dropFromFile(p, nil)
		}
		return nil
	})
}

func (s *Set) checkFile(file map[string]*FileDefinition, d *FileDefinition) error {
	if err := s.check(d.Name, d.Definition); err != nil {
		return err
	}
	if file[d.Name] != nil {
		return fmt.Errorf("policy '%s' is there twice", d.Name)
	}
	for key, o := range d.Overrides {
		if err := s.checkOverride(d.Name, key, o); err != nil {
			return err
		}
	}
	return nil
}

// fromFile computes what the file changes of one policy.
func (c *change) fromFile(inFile *FileDefinition) {
	p := c.set.Find(inFile.Name)
	if p == nil || p.FromFile() && !p.Plan().Equal(inFile.Definition) {
		c.put(p, inFile.Name, inFile.Definition, true)
	}
	for _, key := range slices.Sorted(maps.Keys(inFile.Overrides)) {
		d := inFile.Overrides[key]
		var own *Plan
		if p != nil {
			own = p.own(key)
		}
		if own == nil || own.rest || own.File && !own.Equal(d) {
			c.override(p, inFile.Name, key, d, true)
		}
	}
	if p != nil {
		c.dropFromFile(p, inFile)
	}
}

// dropFromFile unsets the overrides that the file has no more.
func (c *change) dropFromFile(p *Policy, inFile *FileDefinition) {
	p.EachOverride(func(key string, own *Plan) {
		if !own.File {
			return
		}
		if inFile != nil {
			if _, has := inFile.Overrides[key]; has {
				return
			}
		}
		c.unset(p, key, inFile)
	})
}

func (s *Set) checkOverride(name, key string, d Definition) error {
	err := engine.CheckKey(key)
	if err == nil {
		err = d.Check(s.logLimitMax)
	}
	if err != nil {
		return fmt.Errorf("policy '%s', override for the key '%s': %w", name, cut([]byte(key)), err)
	}
	return nil
}

func (c *change) add(name, key, value string) {
	c.entries = append(c.entries, Entry{fieldOf(name, key), value})
}

// put makes a policy what a definition says; p is nil if there is none of that name.
func (c *change) put(p *Policy, name string, d Definition, file bool) {
	after := &draft{Definition: d, file: file}
	c.bases[name] = d
	if p != nil {
		after.formers = successors(p.Plan(), d, c.now)
	}
	c.add(name, "", after.value())
	if p == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(p.rests)) {
		c.rest(p, key)
	}
}

// override gives a key its own definition; p is nil if the policy is new.
func (c *change) override(p *Policy, name, key string, d Definition, file bool) {
	after := &draft{Definition: d, file: file, formers: successors(p.For(key), d, c.now)}
	c.add(name, key, after.value())
}

// unset takes an override away, or makes it that of the file.
func (c *change) unset(p *Policy, key string, inFile *FileDefinition) {
	if inFile != nil {
		if d, has := inFile.Overrides[key]; has {
			c.override(p, p.name, key, d, true)
			return
		}
	}
	c.rest(p, key)
}

// rest has the limits of a key followed by those of its policy, as long as there is anything to carry
// over.
func (c *change) rest(p *Policy, key string) {
	d, isNew := c.bases[p.name]
	if !isNew {
		d = p.Plan().Definition
	}
	after := &draft{Definition: d, rest: true, formers: successors(p.own(key), d, c.now)}
	value := ""
	if after.hasFormers() && (c.set.rested < restsMax || p.rests[key]) {
		value = after.value()
	}
	c.add(p.name, key, value)
}

// remove takes a policy away, and all that its keys have.
func (c *change) remove(p *Policy) {
	p.eachKey(func(key string, _ *Plan) { c.add(p.name, key, "") })
	c.add(p.name, "", "")
}

// restsMax is the most rests of all policies. Of overrides that are unset beyond it the units are
// forgotten.
const restsMax = OverridesMax

// restsLooked is how many rests a change looks at. Each change makes at most one, but for those of the
// file.
const restsLooked = 4

// forgetRests ends rests whose formers are over. A rest is forgotten by the set when it is found to be
// none any more, for this change may be one that is never put in force.
func (c *change) forgetRests() {
	s, looked := c.set, 0
	for n := len(s.rests); n > 0 && looked < restsLooked; n-- {
		r := s.rests[0]
		s.rests = s.rests[1:]
		own := r.policy.own(r.key)
		if !r.policy.rests[r.key] || own == nil || s.Find(r.policy.name) != r.policy {
			continue // which costs little, and holds a policy that is deleted
		}
		looked++
		s.rests = append(s.rests, r)
		field := fieldOf(r.policy.name, r.key)
		isTold := slices.ContainsFunc(c.entries, func(e Entry) bool { return e.Field == field })
		if own.isRested(c.now) && !isTold && len(c.entries) > 0 {
			c.add(r.policy.name, r.key, "")
		}
	}
}

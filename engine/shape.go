package engine

// A Shape is the kind of a state: how it is kept, whatever its algorithm makes of it.
type Shape uint8

// The shapes.
const (
	// ShapeWord is a state of one word, which stands in the key's slot. Its meaning is the
	// algorithm's. It is 1 … 2^63 − 2, and a step that leaves the key idle makes it 0.
	ShapeWord Shape = iota
	// ShapeLog is a log of admitted units. It stands in a ring (log_ring.go), and the slot
	// holds a reference to it.
	ShapeLog
	// ShapeCounter is counts of admitted units, in a ring as well (counter_ring.go).
	ShapeCounter
)

// String is the shape's name, as OBJECT ENCODING tells it.
func (s Shape) String() string { return [...]string{"word", "log", "counter"}[s] }

// A shape is what the store does with states of one kind. Which kind a key has, its
// algorithm's row says, and nothing outside of this table asks for more. What is done to a key
// in every check is no method but a question for the shape, in Store.Ask, askOther, step and
// stepAbsent: through an interface the limit and the decision would escape to the heap.
//
// st is the state word of a slot, and it is held.
type shape interface {
	// idleAt is the instant (ns) from which on a key of algorithm a with this state is idle.
	// ok is false for a state that has come to its end.
	idleAt(sp *space, a Algorithm, st int64) (at int64, ok bool)
	// bytes is the memory that a state takes beside its slot.
	bytes(sp *space, st int64) int64
	// end is space.end for a slot of this shape.
	end(sp *space, t *table, s *slot, st, to, by int64) (idleAt int64, ok bool)

	// read reads a state into a change. It returns false for a state that has come to its end.
	// following is for a follower of changes, which is told only of what is new: that then
	// counts as told.
	read(sp *space, st int64, r *changeReader, following bool, c *Change) bool
	// check finds what is wrong with the state in a change, or else from when on (ns) a key with
	// this state is idle.
	check(c *Change) (idleAt int64, err error)
	// apply makes the state of a slot, held or not, what a change says. It returns false when
	// the slot has changed meanwhile.
	apply(sp *space, t *table, s *slot, st int64, c *Change) bool
}

var shapes = [...]shape{ShapeWord: wordShape{}, ShapeLog: logShape{}, ShapeCounter: counterShape{}}

// shape is the shape of the states of an algorithm.
func (a Algorithm) shape() shape { return shapes[a.row().shape] }

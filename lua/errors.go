package lua

// An Error is one that callers are told by its code, as Redis's errors begin with one.
type Error struct{ code, problem string }

func (e *Error) Error() string { return e.problem }

// Code is the error's first word on the wire.
func (e *Error) Code() string { return e.code }

// ErrForeignKey is the answer about a key under which Redis holds something else. It is left
// as it is.
var ErrForeignKey = &Error{"WRONGTYPE", "Operation against a key holding the wrong kind of value: what Redis holds there was not written by rlserver"}

// unavailable is the answer when no Redis decided and the fallback is to say so.
func unavailable(problem string) error { return &Error{"UNAVAILABLE", problem} }

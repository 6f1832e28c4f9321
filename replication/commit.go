package replication

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/rlserver/rlserver/replication/stream"
)

// judge decides whether writes are refused. The feed is locked.
func (n *Node) judge() {
	t := n.tuning.Load()
	trouble := n.log.Trouble()
	if trouble == nil && len(t.SavePoints) > 0 {
		trouble = n.saving.err
	}
	n.tellTrouble(trouble, t.MemoryOnFailure)
	text := ""
	switch {
	case n.link.Load() != nil:
		text = "READONLY You can't write against a read only replica."
	case trouble != nil && !t.MemoryOnFailure:
		text = fmt.Sprintf("MISCONF Changes are refused because they cannot be kept on disk: %s", strings.TrimPrefix(trouble.Error(), "replication: "))
	case t.MinReplicas > 0 && n.replicas.Good(t.MinReplicasLag) < t.MinReplicas:
		text = "NOREPLICAS Not enough good replicas to write."
	}
	if before := n.refused.Swap(&text); before == nil || *before != text {
		n.Refuse(text)
	}
}

// tellTrouble logs that the disk fails, once, and that it works again.
func (n *Node) tellTrouble(trouble error, inMemory bool) {
	text := ""
	if trouble != nil {
		text = trouble.Error()
	}
	if text == n.troubled {
		return
	}
	n.troubled = text
	switch {
	case text == "":
		n.Logger.Info("changes are kept on disk again")
	case inMemory:
		n.Logger.Error("ALARM: changes are kept in memory only, because the disk does not take them", "error", trouble)
	default:
		n.Logger.Error("changes are refused, because the disk does not take them", "error", trouble)
	}
}

// Holds says whether answers to changes must wait for Commit.
func (n *Node) Holds() bool { return n.held.Load() }

// A commit is something that waits for the disk.
type commit struct {
	change func() ([]stream.Entry, error) // of policies, to be made before; nil: none
	done   func(error)
}

// Commit calls done when every change that was made before is on disk.
func (n *Node) Commit(done func(error)) { n.queue(commit{done: done}) }

// Keep has a change of policies computed against those in force, kept, and put in force: one change
// after the other, in the order of the calls. It returns at once. done is called when the change
// is in force, and on disk if answers wait for that; or with the error of compute or ErrReplica, and
// then nothing has changed; or with the disk's error, and then it is in force in memory only.
func (n *Node) Keep(compute func() ([]stream.Entry, error), done func(error)) {
	n.queue(commit{compute, done})
}

// ErrReplica is that policies are changed at the primary.
var ErrReplica = errors.New("replication: this server is a replica: policies are changed at its primary")

func (n *Node) queue(c commit) {
	n.waitingMu.Lock()
	n.waiting = append(n.waiting, c)
	n.waitingMu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// answerCommits makes the changes of policies, appends what has changed, which is synced then, and
// answers all that waited before. If their changes are not on disk, the next changes are refused
// before they are made.
func (n *Node) answerCommits() {
	n.waitingMu.Lock()
	waiting := n.waiting
	n.waiting = nil
	n.waitingMu.Unlock()
	if len(waiting) == 0 {
		return
	}
	n.feed.Lock()
	n.feed.Drain()
	failed := make([]error, len(waiting)) // changes of policies that were not made
	for i, c := range waiting {
		if c.change != nil {
			failed[i] = n.enter(c.change)
		}
	}
	err := n.log.Trouble()
	if err != nil {
		n.judge()
	}
	n.feed.Unlock()
	if n.tuning.Load().MemoryOnFailure {
		err = nil
	}
	for i, c := range waiting {
		if c.change != nil && (failed[i] != nil || !n.Holds()) {
			c.done(failed[i])
		} else {
			c.done(err)
		}
	}
}

// enter makes a change of policies. The feed is locked.
func (n *Node) enter(compute func() ([]stream.Entry, error)) error {
	switch {
	case n.ended.Err() != nil:
		return stream.ErrClosing
	case n.link.Load() != nil: // computed all the same, because a file that was read is remembered
		_, err := compute()
		return cmp.Or(err, ErrReplica)
	}
	return n.feed.Enter(compute)
}

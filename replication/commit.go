package replication

import (
	"fmt"
	"strings"
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

// Commit calls done when every change that was made before is on disk.
func (n *Node) Commit(done func(error)) {
	n.waitingMu.Lock()
	n.waiting = append(n.waiting, done)
	n.waitingMu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// answerCommits appends what has changed, which is synced then, and answers all that waited
// before. If their changes are not on disk, the next changes are refused before they are made.
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
	err := n.log.Trouble()
	if err != nil {
		n.judge()
	}
	n.feed.Unlock()
	if n.tuning.Load().MemoryOnFailure {
		err = nil
	}
	for _, done := range waiting {
		done(err)
	}
}

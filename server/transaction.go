package server

// A transaction has the commands that a client has queued since MULTI. EXEC runs it in order, and answers
// in one array; each command is decided at its own step, so others may come in between, and
// a command that fails does not undo those before it, as in Redis.
type transaction struct {
	commands [][][]byte
	bytes    int // that the queue takes
	words    int
	slow     bool // a command of it may take long
	writes   bool // a command of it writes, or may be replicated
	broken   bool // a command was refused: EXEC runs none
}

// The bounds on a transaction. They hold for each connection.
const (
	transactionCommandsMax = 10_000
	transactionBytesMax    = 4 << 20
	// The memory of a command and of a word besides their bytes.
	queuedCommandOverhead = 64
	queuedWordOverhead    = 24
)

// add queues a command, or returns the problem.
func (tx *transaction) add(cmd *command, args [][]byte) (problem string) {
	if tx.broken {
		return "" // it is not going to be run
	}
	text := 0
	for _, arg := range args {
		text += len(arg)
	}
	size := text + len(args)*queuedWordOverhead + queuedCommandOverhead
	if len(tx.commands) == transactionCommandsMax || tx.bytes+size > transactionBytesMax {
		return errTransactionBounds
	}
	words, buf := make([][]byte, len(args)), make([]byte, 0, text)
	for i, arg := range args {
		at := len(buf)
		buf = append(buf, arg...)
		words[i] = buf[at:len(buf):len(buf)]
	}
	tx.commands = append(tx.commands, words)
	tx.bytes += size
	tx.words += len(args)
	tx.slow = tx.slow || !cmd.isBrief
	tx.writes = tx.writes || cmd.writes || cmd.mayReplicate
	return ""
}

// endTransaction drops the queue.
func (c *session) endTransaction() {
	c.transaction = nil
	c.queued.Store(notQueueing)
	c.queuedBytes.Store(0)
	c.updateRestricted()
}

// notQueueing stands for the count of queued commands outside of a transaction.
const notQueueing = -1

func cmdMulti(r *request) {
	switch {
	case r.server.backend != nil:
		r.fail(errMultiBackend(r.server.config().Backend))
		return
	case r.transaction != nil:
		r.fail(errMultiNested)
		return
	}
	r.transaction = &transaction{}
	r.queued.Store(0)
	r.updateRestricted()
	r.reply.OK()
}

func cmdDiscard(r *request) {
	if r.transaction == nil {
		r.fail(errDiscardWithoutMulti)
		return
	}
	r.endTransaction()
	r.reply.OK()
}

func cmdWatch(r *request) {
	if r.transaction != nil {
		r.fail(errWatchInMulti)
	} else {
		r.fail(errWatch)
	}
}

// execIsBrief says whether EXEC may run in an event loop.
func execIsBrief(c *session) bool {
	tx := c.transaction
	return tx == nil || tx.broken || !tx.slow && tx.words <= fastArgumentsMax && !c.heavy
}

func cmdExec(r *request) {
	switch tx := r.transaction; {
	case tx == nil:
		r.fail(errExecWithoutMulti)
	case tx.broken:
		r.endTransaction()
		r.fail(errExecAbort)
	default:
		r.exec(tx)
	}
	if r.server.monitors.any() { // behind the commands, as in Redis
		r.server.monitors.feed(r.session, r.args)
	}
}

// exec runs a transaction. Its commands use the request meanwhile, which is restored.
func (r *request) exec(tx *transaction) {
	exec, args := r.command, r.args
	r.transaction, r.restricted, r.executing = nil, false, true
	r.reply.Array(len(tx.commands))
	for _, words := range tx.commands {
		r.runQueued(words)
	}
	r.command, r.args, r.executing = exec, args, false
	r.endTransaction()
}

// runQueued runs a command of a transaction. Each has a reply. When the peer does not read them, they
// must not gather without bound.
func (r *request) runQueued(words [][]byte) {
	if r.silenced() {
		r.dropReply(r.conn.ReplyStart())
	}
	r.conn.FlushIfLong()
	if r.conn.Full() {
		r.fail(errExecUnread)
		return
	}
	from := len(r.reply.Buf)
	r.server.dispatch(r.session, words)
	if r.mustWait { // this reply alone becomes an error if its change is not written
		r.deferReply(from)
	}
}

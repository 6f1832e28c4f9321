package server

// A transaction is what a client has queued since MULTI. EXEC runs it in order, and answers
// in one array; each command is decided at its own step, so others may come in between, and
// a command that fails does not undo those before it, as in Redis.
type transaction struct {
	commands [][][]byte
	bytes    int // that the queue takes
	words    int
	slow     bool // a command of it may take long
	broken   bool // a command was refused: EXEC runs none
}

// The bounds on a transaction. They hold for each connection.
const (
	transactionCommandsMax = 10_000
	transactionBytesMax    = 4 << 20
	// What a command and a word take besides their bytes.
	queuedCommandOverhead = 64
	queuedWordOverhead    = 24
)

// add queues a command, or says why not.
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
	return ""
}

// settle finds out whether the client's commands go straight to their handlers. It is called
// whenever that may have changed.
func (c *client) settle() {
	c.restricted = c.transaction != nil || !c.executing && !c.resp3() && c.subscriptions() > 0
}

// restrict sees to a command of a client that is in a transaction, or subscribed in RESP2.
// It returns whether that was all: the command has been queued or refused. The order of what
// is looked at is Redis's.
func (s *Server) restrict(c *client, cmd *command, args [][]byte) (done bool) {
	tx := c.transaction
	switch {
	case cmd.subs != nil && len(args) > 1:
		s.reject(c, cmd, errUnknownSubcommand(cmd.name, args[1]))
	case tx != nil && cmd.refusedInMulti:
		s.reject(c, cmd, errNotInMulti)
	case !c.resp3() && c.subscriptions() > 0 && !cmd.whileSubscribed:
		s.reject(c, cmd, errWhileSubscribed(cmd))
	case tx == nil || cmd.runsInMulti:
		return false
	default:
		if problem := tx.add(cmd, args); problem != "" {
			s.reject(c, cmd, problem)
			break
		}
		c.queued.Store(int32(len(tx.commands)))
		c.conn.WriteString("QUEUED")
	}
	return true
}

// reject replies an error to a command that is not going to run. A transaction that it was
// to be in is not going to run either.
func (s *Server) reject(c *client, cmd *command, text string) {
	switch {
	case cmd != nil && cmd.endsTransaction:
		c.endTransaction()
		text = errExecRejected(text)
	case c.transaction != nil:
		c.transaction.broken = true
	}
	s.refuse(c, text)
}

// endTransaction forgets what has been queued.
func (c *client) endTransaction() {
	c.transaction = nil
	c.queued.Store(notQueueing)
	c.settle()
}

// notQueueing stands for the count of queued commands outside of a transaction.
const notQueueing = -1

func cmdMulti(r *request) {
	switch {
	case r.server.remote != nil:
		r.fail(errMultiElsewhere(r.server.config().Backend))
		return
	case r.transaction != nil:
		r.fail(errMultiNested)
		return
	}
	r.transaction = &transaction{}
	r.queued.Store(0)
	r.settle()
	r.writeOK()
}

func cmdDiscard(r *request) {
	if r.transaction == nil {
		r.fail(errDiscardWithoutMulti)
		return
	}
	r.endTransaction()
	r.writeOK()
}

func cmdWatch(r *request) {
	if r.transaction != nil {
		r.fail(errWatchInMulti)
	} else {
		r.fail(errWatch)
	}
}

// execIsBrief says whether EXEC may run where nothing may take long.
func execIsBrief(c *client) bool {
	tx := c.transaction
	return tx == nil || tx.broken || !tx.slow && tx.words <= fastArgumentsMax
}

func publishIsBrief(c *client) bool { return c.server.pubsub.isFew() }

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
		r.server.monitors.feed(r.client, r.args)
	}
}

// exec runs a transaction. It leaves the request as it was, which is the commands' meanwhile.
func (r *request) exec(tx *transaction) {
	exec, args, hurried := r.command, r.args, r.hurried
	// What is in it has been found fit for where we are.
	r.transaction, r.restricted, r.executing, r.hurried = nil, false, true, false
	r.conn.WriteArray(len(tx.commands))
	for _, words := range tx.commands {
		r.runQueued(words)
	}
	r.command, r.args, r.executing, r.hurried = exec, args, false, hurried
	r.endTransaction()
}

// runQueued runs a command of a transaction. There is a reply to each, but where the peer
// does not read them they must not gather without bound.
func (r *request) runQueued(words [][]byte) {
	if len(r.wire.out) >= outBytesFlush && !r.wire.waiting() && r.wire.flush() != nil {
		r.wire.out = r.wire.out[:0]
		r.hangUp()
	}
	if r.wire.carrier.full(r.wire) {
		r.fail(errExecUnread)
		return
	}
	from := len(r.wire.out)
	r.server.dispatch(r.client, words)
	if r.mustWait { // it alone becomes an error if the disk does not take it
		r.hold(r.wire, from)
	}
}

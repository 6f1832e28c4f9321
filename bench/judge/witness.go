package judge

import "time"

// An admission is one request that was admitted. Instants are nanoseconds since the start of the run.
type admission struct {
	key            int64
	sent, received int64
}

const (
	// blockLength is how many admissions a witness tells at once, and blockAge after how long it tells
	// what it has, with the next.
	blockLength = 128
	blockAge    = 10 * time.Millisecond
	// lineLength is how many admissions wait for those of other witnesses that were received before.
	lineLength = 512
)

// A Witness tells a judge what one goroutine saw. It takes no lock but once in blockLength admissions.
type Witness struct {
	judge *Judge
	keys  int64
	n     int
	block [blockLength]admission
}

// Witness makes one more witness.
func (j *Judge) Witness() *Witness { return &Witness{judge: j, keys: j.keys} }

// Admitted tells that a request was admitted. sent is an instant before the request was sent, and
// received one after its reply had been received, both since the start of the run. The closer they
// are the more is found.
func (w *Witness) Admitted(key int64, sent, received time.Duration) {
	if uint64(key) >= uint64(w.keys) {
		return
	}
	w.block[w.n] = admission{key, int64(sent), int64(received)}
	w.n++
	if w.n == blockLength || received-time.Duration(w.block[0].received) > blockAge {
		w.Flush()
	}
}

// Flush tells what has not been told yet. It is called before the judge is asked, and does no harm
// at other times.
func (w *Witness) Flush() {
	if w.n == 0 {
		return
	}
	w.judge.mu.Lock()
	w.judge.put(w.block[:w.n])
	w.judge.mu.Unlock()
	w.n = 0
}

// put puts a block into the line, at its places in the order of receipt, and weighs the head of
// the line once it is long enough.
func (j *Judge) put(block []admission) {
	i, k := len(j.line)-1, len(block)-1
	j.line = append(j.line, block...)
	for at := len(j.line) - 1; k >= 0; at-- {
		if i >= 0 && j.line[i].received > block[k].received {
			j.line[at] = j.line[i]
			i--
		} else {
			j.line[at] = block[k]
			k--
		}
	}
	if len(j.line) >= 2*lineLength {
		j.settle(lineLength)
	}
}

// settle weighs the head of the line, and leaves a rest.
func (j *Judge) settle(rest int) {
	if head := len(j.line) - rest; head > 0 {
		j.cells.weigh(j.line[:head], j.tell)
		j.line = j.line[:copy(j.line, j.line[head:])]
	}
}

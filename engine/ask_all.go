package engine

// askAllAhead is how many questions in advance AskAll prefetches keys. What a processor can have
// under way at once bounds it: more makes nothing faster.
const askAllAhead = 8

// AskAll asks all questions at instant now, one after the other in their order, and writes each
// answer into its question. The answers are those that Ask and Reset would give; an error of one
// question is that question's alone. With many keys it takes a fraction of the time of single
// calls, because the memory of the next keys comes while the present one is decided. It is no
// transaction: other callers' questions may come between. It allocates nothing for keys that exist.
func (s *Store) AskAll(questions []Question, now int64) {
	for i := range min(askAllAhead, len(questions)) {
		s.Prefetch(questions[i].Key)
	}
	for i := range questions {
		if i+askAllAhead < len(questions) {
			s.Prefetch(questions[i+askAllAhead].Key)
		}
		q := &questions[i]
		if q.Call != nil {
			q.Err = s.AskCall(q.Call, now)
		} else if q.Reset {
			q.Existed, q.Err = s.Reset(q.Key, now), nil
		} else {
			q.Err = s.Ask(q.Op, q.Key, q.Algorithm, &q.Limit, q.Cost, now, &q.Decision)
		}
	}
}

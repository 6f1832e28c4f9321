package engine_test

import (
	"fmt"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A Go program limits in process: no server, no network, the same answers.
func Example() {
	store, err := engine.NewStore(engine.Options{}) // 0: the default cap on sliding_window_log
	if err != nil {
		panic(err)
	}
	// Ten requests a second, at most three of them at once.
	limit, err := engine.NewLimit(10, time.Second, 3)
	if err != nil {
		panic(err)
	}
	// A real program passes time.Now().UnixMicro(); the engine reads no clock itself.
	now := time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC)
	for _, ms := range []int{0, 0, 0, 0, 100} {
		at := now.Add(time.Duration(ms) * time.Millisecond).UnixMicro()
		d, err := store.Check("user:123", engine.TokenBucket, limit, 1, at)
		if err != nil {
			panic(err) // a wrong argument, or the key belongs to another algorithm
		}
		if d.Allowed {
			fmt.Printf("%3d ms: go ahead, %d left\n", ms, d.Remaining)
		} else {
			fmt.Printf("%3d ms: come back in %v\n", ms, d.RetryAfter)
		}
	}
	// Output:
	//   0 ms: go ahead, 2 left
	//   0 ms: go ahead, 1 left
	//   0 ms: go ahead, 0 left
	//   0 ms: come back in 100ms
	// 100 ms: go ahead, 0 left
}

// A leaky bucket says how long to hold each request, so that a burst leaves as a steady
// stream.
func Example_shaping() {
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		panic(err)
	}
	limit, err := engine.NewLimit(10, time.Second, 3)
	if err != nil {
		panic(err)
	}
	now := time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	for range 3 {
		d, err := store.Check("mail", engine.LeakyBucket, limit, 1, now)
		if err != nil {
			panic(err)
		}
		fmt.Println("send after", d.Delay)
	}
	// Output:
	// send after 0s
	// send after 100ms
	// send after 200ms
}

// Many questions at once cost less than one by one, because the memory of the next keys is fetched
// while the present one is decided.
func ExampleStore_AskAll() {
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		panic(err)
	}
	limit, err := engine.NewLimit(2, time.Minute, 0)
	if err != nil {
		panic(err)
	}
	now := time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	var questions []engine.Question // used again for the next batch
	for _, key := range []string{"user:1", "user:2", "user:1", "user:1"} {
		questions = append(questions, engine.Question{
			Op: engine.OpCheck, Key: key, Algorithm: engine.TokenBucket, Limit: limit, Cost: 1,
		})
	}
	store.AskAll(questions, now)
	for i := range questions {
		q := &questions[i]
		if q.Err != nil {
			panic(q.Err) // a wrong argument, or the key belongs to another algorithm
		}
		fmt.Println(q.Key, q.Decision.Allowed, q.Decision.Remaining)
	}
	// Output:
	// user:1 true 1
	// user:2 true 1
	// user:1 true 0
	// user:1 false 0
}

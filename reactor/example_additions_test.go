package reactor_test

import (
	"fmt"
	"time"

	"microhttp/reactor"
)

func ExampleReactor_CallEvery() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	n := 0
	var tidying *reactor.LoopingCall
	tidying = r.CallEvery(10*time.Millisecond, func() {
		n += 1 + tidying.Skipped() // this may come late; the next will not
		if n >= 3 {
			tidying.Stop()
			fmt.Println("tidied", tidying.Running())
			r.Stop()
		}
	})
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output: tidied false
}

func ExampleReactor_InLoop() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	// ask has f called on the loop, and waits for it wherever that is possible.
	ask := func(f func()) {
		if r.InLoop() {
			f()
			return
		}
		done := make(chan struct{})
		if r.CallFromThread(func() { f(); close(done) }) {
			<-done
		}
	}
	r.CallWhenRunning(func() { ask(func() { fmt.Println("from the loop") }) })
	go func() {
		ask(func() { fmt.Println("from elsewhere") })
		r.Stop()
	}()
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// from the loop
	// from elsewhere
}

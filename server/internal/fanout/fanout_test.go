package fanout

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"microhttp/reactor"
)

// loops runs n reactors until the test ends.
func loops(t *testing.T, n int) []*reactor.Reactor {
	t.Helper()
	var all []*reactor.Reactor
	var running sync.WaitGroup
	for range n {
		r, err := reactor.New(reactor.Config{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
		running.Go(func() { _ = r.Run() })
	}
	t.Cleanup(func() {
		for _, r := range all {
			r.Stop()
		}
		running.Wait()
	})
	return all
}

// on calls f on a loop, and waits for it.
func on(r *reactor.Reactor, f func()) {
	done := make(chan struct{})
	r.CallFromThread(func() {
		defer close(done)
		f()
	})
	<-done
}

// receiver notes what it gets, and calls then with it.
type receiver struct {
	got  []string
	then func(m string)
}

func (r *receiver) Take(m string) {
	r.got = append(r.got, m)
	if r.then != nil {
		r.then(m)
	}
}

var ample = Bound{100, 1 << 20}

// Receivers on several loops get what is published while they are there, in order, and a fan without any holds no loop.
func TestFan(t *testing.T) {
	var f Fan[*receiver, string]
	all := loops(t, 3)
	f.Publish("for nobody", 1, ample)
	receivers := make([]receiver, 30)
	for i := range receivers {
		on(all[i%3], func() { f.Join(all[i%3], &receivers[i]) })
	}
	on(all[0], func() { f.Join(all[0], &receivers[0]) }) // again, which counts once
	if f.Len() != len(receivers) {
		t.Errorf("%d receivers", f.Len())
	}
	for i := range 5 {
		f.Publish(fmt.Sprint(i), 1, ample)
	}
	for i := range receivers {
		on(all[i%3], func() {
			if got := strings.Join(receivers[i].got, ""); got != "01234" {
				t.Errorf("receiver %d got %q", i, got)
			}
			f.Leave(all[i%3], &receivers[i])
			f.Leave(all[i%3], &receivers[i])
		})
	}
	f.Publish("too late", 1, ample)
	if f.Len() != 0 || len(f.loops) != 0 {
		t.Errorf("%d receivers on %d loops are left", f.Len(), len(f.loops))
	}
	for i := range receivers {
		on(all[i%3], func() {
			if len(receivers[i].got) != 5 {
				t.Errorf("receiver %d got %q", i, receivers[i].got)
			}
		})
	}
}

// A receiver that leaves while a message is delivered gets no more, and one that joins gets only what comes later.
func TestComingAndGoing(t *testing.T) {
	var f Fan[*receiver, string]
	loop := loops(t, 1)[0]
	var a, b, late receiver
	taken := 0
	a.then = func(string) {
		if taken++; taken == 1 {
			f.Leave(loop, &b)
			f.Join(loop, &late)
		}
	}
	b.then = func(string) {
		if taken++; taken == 1 {
			f.Leave(loop, &a)
			f.Join(loop, &late)
		}
	}
	on(loop, func() {
		f.Join(loop, &a)
		f.Join(loop, &b)
		f.Publish("1", 1, ample)
		f.Publish("2", 1, ample)
	})
	on(loop, func() {
		if taken != 2 || len(a.got)+len(b.got) != 2 || len(late.got) != 0 {
			t.Errorf("%q, %q, %q", a.got, b.got, late.got)
		}
		f.Publish("3", 1, ample)
	})
	on(loop, func() {
		if !slices.Equal(late.got, []string{"3"}) {
			t.Errorf("%q", late.got)
		}
	})
}

// A loop that is busy has a bounded queue, and one call, and a loop that has ended is forgotten.
func TestBusyAndEndedLoops(t *testing.T) {
	var f Fan[*receiver, string]
	busy, ended := loops(t, 1)[0], loops(t, 1)[0]
	var a, b receiver
	on(busy, func() { f.Join(busy, &a) })
	on(ended, func() { f.Join(ended, &b) })
	ended.Stop()
	for end := time.Now().Add(10 * time.Second); ended.CallFromThread(func() {}) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	dropped := 0
	on(busy, func() {
		for i := range 10 {
			dropped += f.Publish(fmt.Sprint(i), 1, Bound{3, 100})
		}
		dropped += f.Publish("large", 100, Bound{3, 100})
	})
	on(busy, func() {
		if !slices.Equal(a.got, []string{"large"}) || dropped != 10 || len(f.loops) != 1 {
			t.Errorf("%q, %d dropped, %d loops", a.got, dropped, len(f.loops))
		}
	})
}

func TestQueue(t *testing.T) {
	var q Queue[string]
	b := Bound{3, 10}
	for _, x := range []struct {
		add            string
		dropped, count int
	}{{"aaaa", 0, 1}, {"bb", 0, 2}, {"c", 0, 3}, {"d", 1, 3}, {"eeeeeeeeee", 3, 1}, {"ffffffffffff", 1, 1}} {
		full := q.Full(len(x.add), b)
		if dropped := q.Add(x.add, len(x.add), b); dropped != x.dropped || q.Len() != x.count || full != (dropped > 0) {
			t.Errorf("%s: %d dropped, %d there, full %t", x.add, dropped, q.Len(), full)
		}
	}
	if m := q.Shift(); m != "ffffffffffff" || q.Len() != 0 || q.items != nil || q.bytes != 0 {
		t.Errorf("%q, %+v", m, q)
	}
	if got := (Bound{0, 5}).Or(Bound{7, 8}).Times(2); got != (Bound{14, 10}) {
		t.Errorf("%+v", got)
	}
}

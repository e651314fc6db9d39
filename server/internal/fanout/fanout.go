// Package fanout hands messages to receivers that live on several loops. Each loop with receivers has a list of them, which
// only the loop touches. Publish posts to each such loop once, however many messages gather until it comes to deliver them.
// Nothing here has a goroutine. The Hub of package server and that of package websocket are made of it.
package fanout

import (
	"sync"
	"sync/atomic"

	"microhttp/reactor"
)

// Receiver is what gets messages. Take is called on the loop that the receiver has joined on. It may join and leave, itself and
// others.
type Receiver[M any] interface {
	comparable
	Take(m M)
}

// Fan is a set of receivers. The zero value is empty. It must not be copied. Join and Leave are for the loop of the receiver,
// the others for any goroutine.
type Fan[R Receiver[M], M any] struct {
	mu      sync.Mutex // guards loops and what has gathered for each
	loops   map[*reactor.Reactor]*loop[R, M]
	members atomic.Int64
}

// loop is the part of a Fan that one loop has.
type loop[R Receiver[M], M any] struct {
	fan      *Fan[R, M]
	reactor  *reactor.Reactor
	members  map[R]struct{} // loop only, as what follows
	left     bool           // one has left since deliver has begun
	scratch  []R            // of deliver
	gathered Queue[M]       // under fan.mu
	posted   bool           // deliver is on its way; under fan.mu
}

// Join adds a receiver, which gets what is published from now on.
func (f *Fan[R, M]) Join(on *reactor.Reactor, r R) {
	l := f.home(on)
	l.deliver() // what was published before is not for r
	if _, there := l.members[r]; !there {
		l.members[r] = struct{}{}
		f.members.Add(1)
	}
}

// home returns the part of a loop, which is made for its first receiver.
func (f *Fan[R, M]) home(on *reactor.Reactor) *loop[R, M] {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.loops[on]
	if l == nil {
		l = &loop[R, M]{fan: f, reactor: on, members: make(map[R]struct{})}
		if f.loops == nil {
			f.loops = make(map[*reactor.Reactor]*loop[R, M])
		}
		f.loops[on] = l
	}
	return l
}

// Leave removes a receiver, which gets nothing from now on. It does nothing for one that is not there.
func (f *Fan[R, M]) Leave(on *reactor.Reactor, r R) {
	f.mu.Lock()
	l := f.loops[on]
	f.mu.Unlock()
	if l == nil {
		return
	}
	if _, there := l.members[r]; there {
		delete(l.members, r)
		l.left = true
		f.members.Add(-1)
		l.tidy()
	}
}

// Len returns how many receivers there are.
func (f *Fan[R, M]) Len() int { return int(f.members.Load()) }

// Publish has m delivered to all receivers. Messages of one goroutine arrive in order. What waits for a loop that is busy has a
// bound: beyond it the oldest are dropped. Publish returns how many were, each counted once for a loop.
func (f *Fan[R, M]) Publish(m M, size int, b Bound) (dropped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for on, l := range f.loops {
		dropped += l.gathered.Add(m, size, b)
		if !l.posted {
			if l.posted = on.CallFromThread(l.posting); !l.posted {
				delete(f.loops, on) // it has ended
			}
		}
	}
	return dropped
}

// posting is the posted call.
func (l *loop[R, M]) posting() {
	l.deliver()
	l.tidy()
}

// deliver gives the receivers what has gathered. They may come and go meanwhile, so a copy of the list is walked.
func (l *loop[R, M]) deliver() {
	l.fan.mu.Lock()
	gathered := l.gathered
	l.gathered, l.posted = Queue[M]{}, false
	l.fan.mu.Unlock()
	if gathered.Len() == 0 {
		return
	}
	all := l.scratch[:0]
	l.scratch = nil
	for r := range l.members {
		all = append(all, r)
	}
	l.left = false
	for _, r := range all {
		for i := range gathered.items {
			if l.left {
				if _, there := l.members[r]; !there {
					break
				}
			}
			r.Take(gathered.items[i].m)
		}
	}
	clear(all)
	l.scratch = all[:0]
}

// tidy forgets a loop that has no receivers, so that the Fan does not keep it.
func (l *loop[R, M]) tidy() {
	l.fan.mu.Lock()
	defer l.fan.mu.Unlock()
	if len(l.members) == 0 && !l.posted && l.fan.loops[l.reactor] == l {
		delete(l.fan.loops, l.reactor)
	}
}

// Bound bounds a Queue: how many messages, and how many bytes.
type Bound struct{ Messages, Bytes int }

// Or returns the bound with those of def in place of what is 0 or negative.
func (b Bound) Or(def Bound) Bound {
	if b.Messages <= 0 {
		b.Messages = def.Messages
	}
	if b.Bytes <= 0 {
		b.Bytes = def.Bytes
	}
	return b
}

// Times is n times the bound.
func (b Bound) Times(n int) Bound { return Bound{n * b.Messages, n * b.Bytes} }

// Queue holds messages that wait, oldest first. The zero value is empty.
type Queue[M any] struct {
	items []item[M]
	bytes int
}

type item[M any] struct {
	m    M
	size int
}

// Len returns how many messages there are.
func (q *Queue[M]) Len() int { return len(q.items) }

// Full reports whether a message of that size has no room within b.
func (q *Queue[M]) Full(size int, b Bound) bool {
	return len(q.items) > 0 && (len(q.items) >= b.Messages || q.bytes+size > b.Bytes)
}

// Add adds m as the newest, drops the oldest beyond the bound, but never the newest, and returns how many.
func (q *Queue[M]) Add(m M, size int, b Bound) (dropped int) {
	q.items = append(q.items, item[M]{m, size})
	q.bytes += size
	for len(q.items) > 1 && (len(q.items) > b.Messages || q.bytes > b.Bytes) {
		q.Shift()
		dropped++
	}
	return dropped
}

// Shift takes the oldest out.
func (q *Queue[M]) Shift() M {
	first := q.items[0]
	q.items[0] = item[M]{}
	q.bytes -= first.size
	if q.items = q.items[1:]; len(q.items) == 0 {
		q.items = nil
	}
	return first.m
}

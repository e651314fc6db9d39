package sim_test

import (
	"time"

	"microhttp/reactor"
)

// What actors do, and how they keep account of it.

func (a *actor) lose() {
	a.late = a.late || !a.losing && a.link.shut
	a.losing = true
	a.askForTheEnd()
	a.t.LoseConnection()
}

// askForTheEnd notes that an orderly end is asked for, of both directions or of one. It comes at once, or when the actor,
// who produces, has finished.
func (a *actor) askForTheEnd() {
	switch {
	case a.mute() || a.waiting:
	case a.producer:
		a.waiting = true
		a.later(func() {
			if a.producer {
				a.register()
			}
		})
	default:
		a.promise()
	}
}

// promise notes what the peer must have received when it sees a clean end.
func (a *actor) promise() {
	if !a.mute() {
		a.promised = a.written
	}
}

func (a *actor) pause(on bool) {
	if a.paused = on; on {
		a.t.PauseReading()
	} else {
		a.t.ResumeReading()
	}
}

func (a *actor) closeWrite() {
	a.halving = true
	a.askForTheEnd()
	a.t.CloseWrite()
}

func (a *actor) abort() {
	a.aborted = true
	a.t.AbortConnection()
}

// mute reports whether what it writes is dropped.
func (a *actor) mute() bool { return a.promised >= 0 || a.aborted || a.lost }

// write writes n bytes of the pattern.
func (a *actor) write(n int) {
	rnd := a.s.w.Rand()
	if a.slowed || a.s.over {
		return // a producer obeys
	}
	key := a.link.key + fromActor
	a.writing = true
	bytes := func(at, n int) []byte { return fill(nil, key, a.written+at, n) }
	switch rnd.IntN(8) {
	case 0:
		a.t.Send(a.piece(0, n))
	case 1, 2: // of all kinds, in one
		var pieces []reactor.Piece
		var borrowed [][]byte
		for at := 0; at < n; {
			k := rnd.IntN(n - at + 1)
			switch rnd.IntN(4) {
			case 0:
				pieces = append(pieces, a.piece(at, k))
			case 1:
				pieces = append(pieces, reactor.Given(bytes(at, k)))
			default:
				p := bytes(at, k)
				borrowed = append(borrowed, p)
				pieces = append(pieces, reactor.Lent(p))
			}
			at += k
		}
		a.t.Send(pieces...)
		for _, p := range borrowed {
			clear(p) // it is ours again
		}
		clear(pieces)
	case 3:
		a.t.Send(reactor.Given(bytes(0, n)))
	case 4: // which may be outgrown
		a.t.Commit(fill(a.t.Room(rnd.IntN(2*n)), key, a.written, n))
	case 5: // which is not used
		a.t.Room(rnd.IntN(2 * n))
		fallthrough
	default:
		p := bytes(0, n)
		a.t.Write(p)
		clear(p)
	}
	a.writing = false
	if !a.mute() {
		a.written += n
		if !a.link.shut {
			a.sure = a.written
		}
	}
	if a.writes++; a.producer && n > 1000 {
		a.checkMark()
	}
}

// piece is a piece of a file. Some files are closed, and the others the actor is told of.
func (a *actor) piece(at, n int) reactor.Piece {
	a.s.files++
	f := &file{a, a.link.key + fromActor}
	p := reactor.FileRange(f, int64(a.written+at), int64(n))
	if a.s.w.Rand().IntN(2) == 0 {
		p = reactor.FileRange(struct{ reactor.File }{f}, int64(a.written+at), int64(n)).OnFree(func(bool) { _ = f.Close() })
	}
	return p
}

// checkMark looks, in a later tick, whether a producer beyond the high mark was told so. What ResumeProducing writes is
// flushed at the end of its tick, after the timers that are due by then.
func (a *actor) checkMark() {
	writes := a.writes
	a.l.CallLater(time.Millisecond, a.ifAlive(func() {
		if n := a.t.Buffered(); writes == a.writes && n > a.s.opts.HighWater && a.producer && !a.slowed && !a.mute() && !a.endsWithPeer() {
			a.s.w.Errorf("%d bytes are queued above the high mark of %d, and the producer was not told", n, a.s.opts.HighWater)
		}
	}))
}

// detach takes the socket from the loop, and resets it.
func (a *actor) detach() {
	d, err := a.t.Detach()
	if err != nil {
		return // it is ending already, or has files to send
	}
	if i := matches(d.Unsent, a.link.key+fromActor, a.written-len(d.Unsent)); i >= 0 {
		a.s.w.Errorf("byte %d of %d unsent ones is wrong", i, len(d.Unsent))
	}
	if i := matches(d.Received, a.link.key+fromPeer, a.received); i >= 0 {
		a.s.w.Errorf("byte %d of %d received ones is wrong", i, len(d.Received))
	}
	a.aborted, a.detached = true, true
	a.s.w.System().Reset(d.FD)
	a.s.w.System().Close(d.FD)
}

// act does one thing, or several.
func (a *actor) act() {
	w := a.s.w
	rnd := w.Rand()
	for range rnd.IntN(4) {
		if a.lost || a.s.over {
			return
		}
		switch rnd.IntN(24) {
		case 0, 1, 2, 3:
			a.write(1 + rnd.IntN(100))
		case 4, 5:
			a.write(1 + rnd.IntN(5000))
		case 6:
			a.write(1 + rnd.IntN(80_000))
		case 7:
			a.pause(true)
			a.later(func() { a.pause(false) })
		case 8:
			a.pause(false)
		case 9:
			a.timeouts++
			a.t.SetTimeout(time.Duration(1 + rnd.Int64N(int64(5*time.Second))))
		case 10:
			a.t.SetTimeout(0)
		case 11:
			a.later(a.act)
		case 12:
			a.s.post(a.l, a.ifAlive(a.act))
		case 13:
			if rnd.IntN(3) == 0 {
				a.lose()
			}
		case 14:
			if rnd.IntN(3) == 0 {
				a.closeWrite()
			}
		case 15:
			a.s.timer(a.l, time.Duration(rnd.Int64N(int64(time.Second))), func() {})
		case 16:
			a.s.disturbTimers(a.l)
		case 17, 20, 21:
			switch o := a.s.actors[rnd.IntN(len(a.s.actors))]; {
			case !o.made || o.lost || o == a:
			case o.l == a.l:
				o.disturb()
			default:
				a.s.post(o.l, o.ifAlive(o.disturb))
			}
		case 22:
			if rnd.IntN(4) == 0 {
				a.turn(nil)
			}
		case 23:
			if rnd.IntN(4) == 0 {
				a.register()
			}
		case 18:
			switch rnd.IntN(20) {
			case 0:
				a.s.closed = true
				a.l.port.StopListening()
			case 1, 2:
				a.s.connect(a.l)
			}
		case 19:
			switch {
			case !a.s.chaos || rnd.IntN(4) != 0:
			case a.inside && rnd.IntN(2) == 0:
				a.panicked = true
				panic(chaos)
			case rnd.IntN(2) == 0:
				a.detach()
			default:
				a.abort()
			}
		}
	}
}

// disturb is what an actor does to another one.
func (a *actor) disturb() {
	switch rnd := a.s.w.Rand(); rnd.IntN(8) {
	case 0:
		a.pause(true)
		a.later(func() { a.pause(false) })
	case 1:
		a.lose()
	case 2:
		if a.s.chaos {
			a.abort()
		}
	default:
		a.write(1 + rnd.IntN(500))
	}
}

func (a *actor) later(f func()) {
	a.s.timer(a.l, time.Duration(a.s.w.Rand().Int64N(int64(200*time.Millisecond))), a.ifAlive(f))
}

func (a *actor) ifAlive(f func()) func() {
	return func() {
		if !a.lost {
			f()
		}
	}
}

package server

import (
	"io"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// bodyCount counts the bodies whose end OnBody's function has not been told.
type bodyCount struct {
	w    *sim.World
	open int
}

// ask has f called with the body. It holds OnBody to one error, last, and to no call while the body is paused.
func (n *bodyCount) ask(r *Request, f func(p []byte, err error)) {
	ended := false
	n.open++
	r.OnBody(func(p []byte, err error) {
		switch {
		case ended:
			n.w.Errorf("OnBody's function is called with %d bytes and %v after an error", len(p), err)
		case err != nil && len(p) > 0 || err == nil && len(p) == 0:
			n.w.Errorf("OnBody's function is called with %d bytes and %v", len(p), err)
		case err == nil && r.x.body.paused:
			n.w.Errorf("OnBody's function is called while the body is paused")
		}
		if err != nil {
			ended = true
			n.open--
		}
		f(p, err)
	})
}

// streamAnything takes a body in one of many ways, and answers in one of many.
func streamAnything(bodies *bodyCount, loop *reactor.Reactor, rw *Response, r *Request) {
	rnd := bodies.w.Rand()
	after := time.Duration(rnd.Int64N(int64(30 * time.Second)))
	pauses := func() { // some of the time, and not always for a time that ends
		switch rnd.IntN(8) {
		case 0:
			r.PauseBody()
			loop.CallLater(time.Duration(rnd.Int64N(int64(time.Second))), r.ResumeBody)
		case 1:
			if rnd.IntN(20) == 0 {
				r.PauseBody()
			}
		}
	}
	breaks := func() {
		if rnd.IntN(20) == 0 {
			panic("while a body arrives")
		}
	}
	switch rnd.IntN(9) {
	case 0: // the body is not asked for
		rw.WriteString("early")
	case 1:
		rw.Later()
	case 2:
		r.ReadBody(int64(rnd.IntN(4))*1000, func(rw *Response, r *Request) { doAnything(bodies.w, loop, rw, r) })
	case 3, 4: // both ways at once: what comes goes back, no faster than the peer reads
		s := rw.Stream()
		s.OnDrain(func() { breaks(); r.ResumeBody() })
		loop.CallLater(10*time.Minute, func() { s.Close() }) // else one whose body stays paused is open for ever
		bodies.ask(r, func(p []byte, err error) {
			if err != nil {
				s.Close()
				return
			}
			breaks()
			pauses()
			s.Write(p)
			if s.Full() {
				r.PauseBody()
			}
		})
	case 5: // the answer is put off, and may come before the body has
		p := rw.Later()
		bodies.ask(r, func(_ []byte, err error) {
			if err == nil {
				breaks()
			}
			pauses()
		})
		loop.CallLater(after, func() { _ = p.Answer(func(rw *Response) { breaks(); rw.WriteString("later") }) })
	case 6: // asked for late
		p := rw.Later()
		loop.CallLater(after/4, func() {
			if r.x.fate.Load() != fateOpen {
				return // its time is over, or the peer is gone
			}
			bodies.ask(r, func(_ []byte, err error) {
				if err == io.EOF {
					loop.CallFromThread(func() { _ = p.Answer(func(rw *Response) { rw.WriteString("late") }) })
				}
			})
		})
	case 7: // the stream ends before the body
		s := rw.Stream()
		bodies.ask(r, func([]byte, error) { breaks(); s.Close() })
		loop.CallLater(after, func() { s.Close() })
	default:
		bodies.ask(r, func(p []byte, err error) {
			breaks()
			pauses()
			rw.Write(p)
		})
		if rnd.IntN(10) == 0 {
			breaks()
		}
	}
}

package server

import "time"

// The least data rate the other way round. A peer that takes a byte of its answer now and then
// makes progress, so SendTimeout never ends it. The kernel takes output in lumps, though, and
// tells nobody how much of it the peer has read; so it is not the byte that is timed. While
// some output of a loop waits, the loop looks at all of it from time to time, and who has not
// taken a window's worth of the rate in a window is cut off. What was made since the last look
// begins a new window: that ends by itself, for at MaxUnsentBytes nothing more is made.

// readWindow is how many times DataRateGrace a peer has for a window's worth, and looksEach
// how often it is looked at in that.
const (
	readWindow = 6
	looksEach  = 3
)

func (s *settings) readWindow() time.Duration { return readWindow * s.grace }

// watchReaders begins to look, if there is anything to look at.
func (w *worker) watchReaders() {
	conf := &w.srv.conf
	if w.watching || w.loop.Unsent() == 0 || conf.rate == 0 || conf.grace == 0 {
		return
	}
	w.watching = true
	w.loop.CallLater(conf.readWindow()/looksEach, w.lookAtReaders)
}

func (w *worker) lookAtReaders() {
	w.watching = false
	now, window := w.clock(), int64(w.srv.conf.readWindow())
	for c := w.conns.next; c != &w.conns; c = c.next {
		unsent := c.t.Buffered()
		switch {
		case unsent == 0, c.unsent == 0, unsent > c.unsent:
			c.unsent, c.seen = unsent, now
		case now-c.seen < window:
		case float64(c.unsent-unsent) < float64(w.srv.conf.rate)*time.Duration(window).Seconds():
			c.abortFor(ErrSlowReader)
		default:
			c.unsent, c.seen = unsent, now
		}
	}
	w.watchReaders()
}

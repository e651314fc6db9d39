package server

import "time"

// deadline is a time at which waits end, as SetReadDeadline and SetWriteDeadline of a net.Conn set one. It has no lock of its
// own. What waits looks at passed, under a lock, and is woken by the function that set gets.
type deadline struct {
	timer  *time.Timer
	turn   int // counts the settings, so that a timer that comes late does nothing
	passed bool
}

// set sets the deadline. A zero time is none. change calls a function under the lock, and then wakes what waits. The caller
// has the lock, and wakes what waits as well.
func (d *deadline) set(at time.Time, change func(f func())) {
	d.stop()
	d.passed = false
	if at.IsZero() {
		return
	}
	left := time.Until(at)
	if d.passed = left <= 0; d.passed {
		return
	}
	turn := d.turn
	d.timer = time.AfterFunc(left, func() {
		change(func() { d.passed = d.passed || d.turn == turn })
	})
}

// stop ends a deadline that was set before.
func (d *deadline) stop() {
	d.turn++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

package reactor

import (
	"testing"
)

// An upgraded protocol gets the unread bytes after ConnectionMade and before anything newer, also when reading is paused in
// between, and then in a callback of its own.
func TestUnreadBytesComeFirst(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		for _, pauses := range []bool{false, true} {
			l := start(t, c)
			second := newRecorder()
			conn, first := l.connect(nil, nil)
			inside := false
			l.do(func() {
				second.onMade = func() {
					if pauses {
						second.PauseReading()
					}
				}
				first.onData = func(b []byte) {
					first.SetProtocol(second, b[1:])
					for i := range b {
						b[i] = '!' // it was lent
					}
				}
				second.onData = func([]byte) {
					if inside {
						t.Error("DataReceived inside ResumeReading")
					}
				}
			})
			send(t, conn, "1234")
			receive(t, second.made, "the second protocol")
			send(t, conn, "567")
			if pauses {
				l.do(func() {})
				l.do(func() {
					if len(second.data) > 0 {
						t.Errorf("paused, and told %q", second.data)
					}
					inside = true
					second.ResumeReading()
					inside = false
				})
			}
			eventually(t, "all of it", func() bool { return len(second.received()) == 6 })
			if got := second.received(); got != "234567" {
				t.Errorf("pauses %v: received %q", pauses, got)
			}
			l.do(func() {
				if u := second.Transport.(*transport); u.cold != nil && u.cold.unread != nil {
					t.Error("the bytes are kept")
				}
			})
		}
	})
}

// Unread bytes pass from protocol to protocol in the order in which they came, however often that is.
func TestUnreadBytesPassOn(t *testing.T) {
	l := start(t, Config{})
	second, third := newRecorder(), newRecorder()
	conn, first := l.connect(nil, nil)
	l.do(func() {
		first.onData = func(b []byte) { first.SetProtocol(second, b[1:]) }
		second.onMade = func() { second.PauseReading() }
		third.onMade = func() { third.ResumeReading() }
	})
	send(t, conn, "1234")
	receive(t, second.made, "the second protocol")
	l.do(func() { second.SetProtocol(third, []byte("before ")) })
	eventually(t, "all of it", func() bool { return third.received() == "before 234" })
	if got := second.received(); got != "" {
		t.Errorf("the second protocol got %q", got)
	}
}

// Detach gives away what was received and not handed over, also before the new protocol had a chance.
func TestDetachUnread(t *testing.T) {
	for _, atOnce := range []bool{true, false} {
		l := start(t, Config{})
		second := newRecorder()
		conn, first := l.connect(nil, nil)
		var d Detached
		detach := func() {
			var err error
			if d, err = second.Detach(); err != nil {
				t.Error(err)
			}
		}
		l.do(func() {
			first.onData = func(b []byte) { first.SetProtocol(second, b[1:]) }
			second.onMade = func() {
				if second.PauseReading(); atOnce {
					detach()
				}
			}
		})
		send(t, conn, "1234")
		receive(t, second.made, "the second protocol")
		l.do(func() {
			if !atOnce {
				detach()
			}
			if string(d.Received) != "234" || len(second.data) > 0 {
				t.Errorf("received %q, and the protocol %q", d.Received, second.data)
			}
			kernel{}.Close(d.FD)
		})
	}
}

// A protocol that ends the connection in ConnectionMade gets nothing.
func TestUnreadBytesOfAnEnd(t *testing.T) {
	l := start(t, Config{})
	second := newRecorder()
	conn, first := l.connect(nil, nil)
	l.do(func() {
		first.onData = func(b []byte) { first.SetProtocol(second, b) }
		second.onMade = func() { second.LoseConnection() }
	})
	send(t, conn, "x")
	if err := second.reason(l); err != ErrConnectionDone {
		t.Errorf("lost with %v", err)
	}
	if got := second.received(); got != "" {
		t.Errorf("received %q", got)
	}
}

package reactor

import (
	"bytes"
	"runtime"
	"testing"
	"time"
)

// What a peer has saved, or owes, when its output waits again.
func TestCreditOutlastsAPause(t *testing.T) {
	clock := newFakeClock()
	r, err := New(Config{System: clock.system()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct {
		name          string
		rate          int
		waited, pause time.Duration
		credit, left  time.Duration // when output begins to wait, and when it does again
	}{
		{"credit is used up while output waits", 240, 10 * time.Second, 0, 30 * time.Second, 20 * time.Second},
		{"and not while none does", 240, 10 * time.Second, time.Hour, 30 * time.Second, 20 * time.Second},
		{"a debt remains", 240, 10 * time.Second, 0, 4 * time.Second, -6 * time.Second},
		{"and is forgotten in as much time", 240, 10 * time.Second, 2 * time.Second, 4 * time.Second, -4 * time.Second},
		{"and no more than forgotten", 240, 10 * time.Second, time.Hour, 4 * time.Second, 0},
		{"there is none without a rate", 0, 10 * time.Second, 0, 0, 0},
	} {
		x := &transport{r: r, fd: -1, options: &TransportOptions{WriteTimeout: time.Minute, MinWriteRate: c.rate}}
		x.paid = int64(c.credit)
		x.startClock(false)
		if left := x.paid - r.clock(); left != int64(c.credit) {
			t.Errorf("%s: %v at first, want %v", c.name, time.Duration(left), c.credit)
		}
		clock.since.Add(int64(c.waited))
		x.stopClock()
		clock.since.Add(int64(c.pause))
		x.startClock(false)
		if left := x.paid - r.clock(); left != int64(c.left) {
			t.Errorf("%s: %v, want %v", c.name, time.Duration(left), c.left)
		}
	}
}

// What the peer's kernel has not acknowledged is what the socket keeps and what has not come so far.
func TestUnacknowledged(t *testing.T) {
	if (kernel{}).Unacknowledged(-1) != 0 {
		t.Error("a descriptor that is not open has something")
	}
	l := start(t, Config{})
	conn, rec := l.connect(nil, nil)
	if err := conn.SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	unacknowledged := func() (n, buffered int) {
		l.do(func() { n, buffered = rec.Unacknowledged(), rec.Buffered() })
		return n, buffered
	}
	l.do(func() { rec.Write([]byte("x")) })
	readN(t, conn, 1)
	eventually(t, "a byte to be acknowledged", func() bool { n, _ := unacknowledged(); return n == 0 })
	const size = 4 << 20
	l.do(func() { rec.Write(make([]byte, size)) })
	n, buffered := unacknowledged()
	if n < buffered || n > size {
		t.Errorf("%d bytes are not acknowledged, %d of %d are buffered", n, buffered, size)
	}
	if runtime.GOOS == "linux" && n == buffered { // else it cannot be asked
		t.Error("the kernel has nothing")
	}
	if got := readN(t, conn, size); !bytes.Equal([]byte(got), make([]byte, size)) {
		t.Error("the peer got something else")
	}
	eventually(t, "all to be acknowledged", func() bool { n, _ := unacknowledged(); return n == 0 })
}

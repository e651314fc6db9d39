package reactor

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel takes more of large files, but of few connections at a time. One that has everything gives its place to another.
func TestFewConnectionsAreWide(t *testing.T) {
	l := start(t, Config{})
	const size = 512 << 10
	f := temporary(t, strings.Repeat("x", size))
	var all []*recorder
	port := l.listen(func(netip.AddrPort) Protocol {
		rec := newRecorder()
		all = append(all, rec)
		return rec
	}, nil)
	peers := make([]*net.TCPConn, wideMost+1)
	for i := range peers {
		peers[i] = dial(t, port)
	}
	l.until("all connections", func() bool { return len(all) == len(peers) })
	send := func(rec *recorder, n int64) { rec.Send(FileRange(f, 0, n).OnFree(func(bool) {})) }
	bounds := func() (found []int) {
		l.do(func() {
			for _, rec := range all {
				n, err := unix.GetsockoptInt(rec.Transport.(*transport).FD(), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
				wanted := kernelUnsent
				if rec.Transport.(*transport).flags&wide != 0 {
					wanted = filePiece
				}
				if err != nil || n != wanted {
					t.Errorf("the bound is %d, %v, want %d", n, err, wanted)
				}
				found = append(found, n)
			}
		})
		return found
	}
	count := func() (n int) {
		for _, bound := range bounds() {
			if bound == filePiece {
				n++
			}
		}
		return n
	}

	l.do(func() { send(all[0], kernelUnsent) })
	if n := count(); n != 0 {
		t.Errorf("a small file made %d connections wide", n)
	}
	l.do(func() {
		for _, rec := range all {
			send(rec, size)
		}
	})
	if n := count(); n != wideMost {
		t.Errorf("%d connections are wide, want %d", n, wideMost)
	}
	for i, c := range peers {
		n := int64(size)
		if i == 0 {
			n += kernelUnsent
		}
		if got, err := io.CopyN(io.Discard, c, n); err != nil {
			t.Fatalf("%d bytes of %d: %v", got, n, err)
		}
	}
	var last *recorder
	for i, bound := range bounds() {
		if bound == kernelUnsent {
			last = all[i]
		}
	}
	if last == nil {
		t.Fatal("all connections are wide")
	}
	l.until("acknowledgements", func() bool {
		for _, rec := range all {
			if (kernel{}).Unacknowledged(rec.Transport.(*transport).FD()) > 0 {
				return false
			}
		}
		return true
	})
	l.do(func() { send(last, size) })
	l.do(func() {
		if last.Transport.(*transport).flags&wide == 0 {
			t.Error("no connection gave up its place")
		}
	})
	if n := count(); n != wideMost {
		t.Errorf("%d connections are wide, want %d", n, wideMost)
	}
}

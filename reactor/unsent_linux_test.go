package reactor

import (
	"errors"
	"net"
	"testing"
)

// The kernel takes no more of the output of a peer that does not read than a bound: what we count is what there is. It is
// the same for sockets that others have opened.
func TestKernelHoldsLittleUnsent(t *testing.T) {
	const written, most = 16 << 20, 1 << 20 // the peer's own buffer takes some of it
	for name, connect := range map[string]func(l *loop) (*net.TCPConn, *recorder){
		"accepted": func(l *loop) (*net.TCPConn, *recorder) { return l.connect(nil, nil) },
		"accepted by a port that was handed in": func(l *loop) (*net.TCPConn, *recorder) {
			var plain net.ListenConfig
			plain.SetMultipathTCP(false) // whose sockets do not inherit it
			other, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			file, err := other.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			defer other.Close()
			rec := newRecorder()
			l.do(func() {
				fd, errno := duplicateFD(file.Fd())
				_, err = l.ListenFD(fd, FactoryFunc(rec.factory), nil)
				err = errors.Join(err, errno)
			})
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", other.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			receive(t, rec.made, "ConnectionMade")
			return conn.(*net.TCPConn), rec
		},
		"adopted": func(l *loop) (*net.TCPConn, *recorder) {
			ours, theirs := netPair(t, "tcp", "127.0.0.1:0")
			rec := newRecorder()
			l.do(func() {
				if err := l.AdoptConn(ours, FactoryFunc(rec.factory), nil); err != nil {
					t.Error(err)
				}
			})
			return theirs.(*net.TCPConn), rec
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, Config{})
			conn, rec := connect(l)
			defer conn.Close()
			if err := conn.SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			l.do(func() { rec.Write(make([]byte, written)) })
			l.do(func() {
				if took := written - rec.Buffered(); took == 0 || took > most {
					t.Errorf("the kernel took %d bytes, want at most %d", took, most)
				}
				rec.AbortConnection()
			})
			rec.reason(l)
		})
	}
}

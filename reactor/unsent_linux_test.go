package reactor

import "testing"

// The kernel takes no more of the output of a peer that does not read than a bound: what we count is what there is.
func TestKernelHoldsLittleUnsent(t *testing.T) {
	const written, most = 16 << 20, 1 << 20 // the peer's own buffer takes some of it
	l := start(t, Config{})
	conn, rec := l.connect(nil, nil)
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
}

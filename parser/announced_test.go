package parser

import "testing"

// A chunk is announced when its line is whole, wherever the bytes were cut.
func TestAnnounced(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	const body = "5\r\nHello\r\n1f;a=\"b\" ;c\r\n"
	var p Parser
	var h Head
	if ev, _, err := p.Next([]byte(head), &h); ev != EventHead || err != nil {
		t.Fatal(ev, err)
	}
	for i := range len(body) {
		if _, n, err := p.Next([]byte{body[i]}, &h); n != 1 || err != nil {
			t.Fatal(i, n, err)
		}
		want := int64(0)
		if i >= len("5\r\n")-1 {
			want = 5
		}
		if i == len(body)-1 {
			want = 5 + 0x1f
		}
		if got := p.Announced(); got != want {
			t.Errorf("after %q: %d, want %d", body[:i+1], got, want)
		}
	}
}

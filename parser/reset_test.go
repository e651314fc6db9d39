package parser

import "testing"

// A Head that is used again says nothing of the message before: not even when the next one is refused before it has a
// method. A server that took it for HEAD still would announce content and send none.
func TestRefusedRequestHasNoFormerMethod(t *testing.T) {
	for _, refused := range []string{"\x00", " ", "(", "GET", "GET\t", "\r\r", "\r\n\r\n\r\n\r\n\r\n"} {
		var p Parser
		var h Head
		b := []byte("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + refused)
		if ev, n, err := p.Next(b, &h); ev != EventHead || err != nil || h.MethodID != MethodHead {
			t.Fatalf("%v, %v, %v", ev, err, h.MethodID)
		} else {
			b = b[n:]
		}
		if ev, _, err := p.Next(b, &h); ev != EventEnd || err != nil {
			t.Fatal(ev, err)
		}
		if ev, _, _ := p.Next(b, &h); ev != NeedMore || h.MethodID != MethodOther {
			t.Errorf("%q: event %v, method %q", refused, ev, h.MethodID)
		}
	}
}

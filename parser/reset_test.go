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

// TakeEnd takes the end when Next would give it without a byte more, and at no other time.
func TestTakeEnd(t *testing.T) {
	for _, message := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
	} {
		var p, q Parser
		var h, g Head
		for rest := []byte(message); ; {
			ev, n, err := p.Next(rest, &h)
			if e, m, _ := q.Next(rest, &g); err != nil || e != ev || m != n {
				t.Fatalf("%q: event %v and %v, %d and %d bytes, %v", message, ev, e, n, m, err)
			}
			if rest = rest[n:]; ev == EventEnd {
				if len(rest) > 0 || p.TakeEnd() {
					t.Errorf("%q: the end came before %q, or twice", message, rest)
				}
				break
			}
			e, m, _ := q.Next(nil, &g)
			if took := p.TakeEnd(); took != (e == EventEnd && m == 0) {
				t.Errorf("%q: before %q TakeEnd is %t, and Next gives %v", message, rest, took, e)
			} else if took {
				if !p.Idle() {
					t.Errorf("%q: the parser is not idle after the end", message)
				}
				break
			}
		}
	}
}

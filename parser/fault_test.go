package parser

import (
	"strings"
	"testing"
)

// What has come of a head can be told at any time, also of one that never comes whole, and of the head before it nothing.
func TestFaultOfWhatHasCome(t *testing.T) {
	const message = "\r\nPATCH /a%41/b?query HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, whole := range []bool{false, true} {
		var p Parser
		var h Head
		if _, _, err := p.Next([]byte("GET /before HTTP/1.1\r\nHost: a\r\n\r\n"), &h); err != nil {
			t.Fatal(err)
		}
		if ev, _, _ := p.Next(nil, &h); ev != EventEnd {
			t.Fatal(ev)
		}
		kept := ""
		for i := range len(message) - 1 {
			if kept += message[i : i+1]; whole {
				kept = message[:i+1]
				p.Reset()
			}
			_, n, err := p.Next([]byte(kept), &h)
			if err != nil {
				t.Fatal(err)
			}
			f := p.Fault([]byte(kept), &h)
			kept = kept[n:]
			method, path := "", ""
			if i >= strings.Index(message, " /") {
				method = "PATCH"
			}
			if at := strings.IndexByte(message, '/'); i >= at {
				path = message[at:min(i+1, strings.IndexByte(message, '?'))]
			}
			if string(f.Method) != method || string(f.Path) != path || f.Offset != -1 || f.HasByte || f.Field != nil {
				t.Errorf("of %q, whole %v: %s %s, %+v", message[:i+1], whole, f.Method, f.Path, f)
			}
		}
	}
}

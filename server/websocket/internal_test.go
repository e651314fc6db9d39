package websocket

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// events is what a decoder says of p, cut into pieces of n bytes.
func events(p []byte, n int) string {
	var b strings.Builder
	d := decoder{rsv1: true}
	p = bytes.Clone(p)
	for len(p) > 0 {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		for {
			ev, used, err := d.next(piece)
			if err != nil {
				fmt.Fprintf(&b, "error %v", err)
				return b.String()
			}
			switch ev {
			case frameHead:
				fmt.Fprintf(&b, "head %d %t %t %d ", d.op, d.fin, d.compressed, d.left)
			case framePayload:
				b.Write(piece[:used])
			case frameEnd:
				b.WriteString(" end ")
			}
			piece = piece[used:]
			if ev == needMore {
				break
			}
		}
	}
	return b.String()
}

var frameSeeds = []string{
	"\x81\x82\x00\x00\x00\x00hi", "\x01\x80\x01\x80\x7f\xaa\x89\x81\x00\x00\x00\x00p\x80\x80\x00\x00\x00\x00", "\xc2\x81\x00\x00\x00\x00\x00",
	"\x88\x82\x00\x00\x00\x00\x03\xe8", "\x82\xfe\x00\x7e\x00\x00\x00\x00", "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", "\x81\x00",
	"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x83\x80", "\x09\x80", "\x89\xfe", "\x80\x80",
}

func FuzzFrames(f *testing.F) {
	for _, seed := range frameSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		whole := events(p, len(p)+1)
		for _, n := range []int{1, 2, 7} {
			if got := events(p, n); got != whole {
				t.Errorf("cut every %d bytes: %q, whole %q", n, got, whole)
			}
		}
	})
}

func TestNegotiate(t *testing.T) {
	for _, x := range []struct{ offer, plain, takeover string }{
		{"foo", "", ""},
		{"permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "permessage-deflate"},
		{
			"permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\"",
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
			"permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
		},
		{"permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "permessage-deflate; server_no_context_takeover"},
		{"permessage-deflate; server_max_window_bits", "", ""},
		{"permessage-deflate; server_max_window_bits=08", "", ""},
		{"permessage-deflate; server_max_window_bits=16", "", ""},
		{"permessage-deflate; client_max_window_bits=7", "", ""},
		{"permessage-deflate; server_no_context_takeover=1", "", ""},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover", "", ""},
		{"permessage-deflate; x, permessage-deflate; client_no_context_takeover", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"},
	} {
		if _, got := negotiate(parsed(t, x.offer), false); got != x.plain {
			t.Errorf("%s: %q, want %q", x.offer, got, x.plain)
		}
		if _, got := negotiate(parsed(t, x.offer), true); got != x.takeover {
			t.Errorf("%s with takeover: %q, want %q", x.offer, got, x.takeover)
		}
	}
}

// parsed reads offers.
func parsed(t *testing.T, field string) []offer {
	t.Helper()
	f := fields{extensions: []string{field}}
	if !f.parseOffers() {
		t.Fatalf("%q does not match its grammar", field)
	}
	return f.offers
}

package server

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A large body is the bytes that were sent, and whatever becomes of it, its pieces are given back.
func TestLargeBodies(t *testing.T) {
	body := make([]byte, 3*pieceSize+4711)
	for i := range body {
		body[i] = byte(i * 7 >> 3)
	}
	sum := HandlerFunc(func(w *Response, r *Request) {
		b := r.Body()
		fmt.Fprintf(w, "%d %x", len(b), sha256.Sum256(b))
		if string(r.PeekHeader("Panic")) == "please" {
			panic(ErrAbortHandler)
		}
	})
	around := func(next Handler) Handler { // buffers in a Blocking handler, since it is around one that takes the head
		return Blocking(switchboard{"/around": AtHead(next)})
	}
	_, addr := start(t, nil, func(s *Server) {
		s.MaxBodyBytes = int64(len(body))
		s.DetectLateUse = true
		s.Handler = switchboard{"/loop": AtHead(sum), "/blocking": Blocking(sum), "/around": around(sum)}
	})
	expected := fmt.Sprintf("%d %x", len(body), sha256.Sum256(body))
	chunked := func(b []byte) string {
		var s strings.Builder
		for len(b) > 0 {
			n := min(len(b), 50_001)
			fmt.Fprintf(&s, "%x\r\n%s\r\n", n, b[:n])
			b = b[n:]
		}
		return s.String()
	}
	for _, path := range []string{"/loop", "/blocking", "/around"} {
		head := "POST " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
		length := fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, len(body))
		coded := head + "Transfer-Encoding: chunked\r\n\r\n"
		for what, c := range map[string]struct{ sent, want string }{
			"whole":           {length + string(body), expected},
			"chunked":         {coded + chunked(body) + "0\r\n\r\n", expected},
			"handler panics":  {strings.Replace(length, "\r\n\r\n", "\r\nPanic: please\r\n\r\n", 1) + string(body), ""},
			"beyond bound":    {coded + chunked(append(bytes.Clone(body), body...)) + "0\r\n\r\n", " 413 "},
			"malformed chunk": {coded + chunked(body) + "x\r\n", " 400 "},
			"peer leaves":     {length + string(body[:2*pieceSize+1]), ""},
		} {
			p := dial(t, addr)
			_, _ = io.WriteString(p, c.sent) // a refusal may come before all is sent
			if what == "peer leaves" {
				p.Close()
			}
			got, _ := io.ReadAll(p.r)
			wantContains(t, path+", "+what, string(got), c.want)
			p.Close()
			await(t, path+", "+what+": pieces given back", func() bool { return pieces.inUse.Load() == 0 })
		}
	}
}

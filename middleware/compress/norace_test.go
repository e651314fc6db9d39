//go:build !race

package compress_test

import (
	"bytes"
	"testing"

	"microhttp/middleware/compress"
	"microhttp/server"
)

// An answer that is compressed costs at most 4 allocations, with all that may go with it.
func TestAllocations(t *testing.T) {
	body := []byte(text)[:10<<10]
	h := compress.New(compress.Config{})(handler(func(w *server.Response, _ *server.Request) {
		w.SetHeader("Content-Type", textType)
		w.SetHeader("ETag", `"some tag"`)
		w.GiveBody(body)
	}))
	for _, accepted := range []string{"gzip", "br", "zstd", "gzip, deflate, br, zstd", "br;q=0.8, gzip;q=0.9", "identity"} {
		p := dial(t, h)
		request := []byte("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: " + accepted + "\r\n\r\n")
		answer := make([]byte, 64<<10)
		round := func() {
			if _, err := p.Write(request); err != nil {
				t.Fatal(err)
			}
			for n := 0; !bytes.HasSuffix(answer[:n], []byte("0\r\n\r\n")) && n < len(body); {
				m, err := p.Read(answer[n:])
				if err != nil {
					t.Fatal(err)
				}
				n += m
			}
		}
		n := testing.AllocsPerRun(200, round)
		t.Logf("%s: %v allocations", accepted, n)
		if n > 4 {
			t.Errorf("%s: %v allocations", accepted, n)
		}
	}
}

//go:build !race

package static_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"microhttp/middleware/static"
)

// A file that is open already costs one allocation, of its ETag.
func TestHotFileAllocates(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.bin": strings.Repeat("x", 64<<10)})
	addr := serve(t, dir(t, root, static.Config{Validate: time.Hour}))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request, answer := []byte("GET /a.bin HTTP/1.1\r\nHost: a\r\n\r\n"), make([]byte, 128<<10)
	length := 0
	ask := func() {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		if length == 0 {
			n := 0
			for !strings.Contains(string(answer[:n]), "\r\n\r\nx") {
				m, err := conn.Read(answer[n:])
				if err != nil {
					t.Fatal(err)
				}
				n += m
			}
			length = strings.Index(string(answer[:n]), "\r\n\r\n") + 4 + 64<<10
			if _, err := io.ReadFull(conn, answer[n:length]); err != nil {
				t.Fatal(err)
			}
			return
		}
		if _, err := io.ReadFull(conn, answer[:length]); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		ask()
	}
	if got := testing.AllocsPerRun(100, ask); got > 1 {
		t.Errorf("%v allocations", got)
	}
}

package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"microhttp/reactor/sim"
)

// residentChild names the environment variable that makes the test binary serve for TestResidentMemoryOfUploads.
const residentChild = "MICROHTTP_TEST_RESIDENT"

// TestResidentMemoryOfUploads holds MaxBufferedBytes to what it says of memory: 200 peers send 8 MiB each at once, which is
// six times the bound, and the process never has more than 450 MiB.
func TestResidentMemoryOfUploads(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	handlers := map[string]Handler{
		"looked at":    HandlerFunc(func(w *Response, r *Request) { fmt.Fprint(w, len(r.PeekBody())) }),
		"returned":     HandlerFunc(func(w *Response, r *Request) { w.SetBody(r.PeekBody()) }),
		"kept":         HandlerFunc(func(w *Response, r *Request) { w.GiveBody(r.Body()) }),
		"off the loop": Blocking(HandlerFunc(func(w *Response, r *Request) { fmt.Fprint(w, len(r.Body())) })),
	}
	if name := os.Getenv(residentChild); name != "" {
		residentServe(t, handlers[name])
		return
	}
	if sim.Seeds(1) == 1 {
		t.Skip("it moves 6.4 GB: set SIM_SEEDS=10, as .ci/run does")
	}
	const uploads = 200
	for name := range handlers {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestResidentMemoryOfUploads$")
			cmd.Env = append(os.Environ(), residentChild+"="+name)
			in, err := cmd.StdinPipe()
			ok(t, err)
			var out bytes.Buffer
			address, w := io.Pipe()
			defer w.Close() // which ends the goroutine that reads
			cmd.Stdout = io.MultiWriter(&out, w)
			cmd.Stderr = os.Stderr
			ok(t, cmd.Start())
			var addr string
			_, err = fmt.Fscanln(address, &addr)
			ok(t, err)
			go io.Copy(io.Discard, address)
			whole := upload(t, addr, uploads, 8<<20)
			ok(t, in.Close())
			ok(t, cmd.Wait())
			m := regexp.MustCompile(`peak (\d+) kB`).FindStringSubmatch(out.String())
			if m == nil {
				t.Fatalf("the child said %q", out.String())
			}
			kib, _ := strconv.Atoi(m[1])
			t.Logf("%d of %d uploads answered, peak %d MiB", whole, uploads, kib>>10)
			if kib > 450<<10 {
				t.Errorf("peak of %d MiB, want at most 450", kib>>10)
			}
			if whole == 0 {
				t.Error("no upload was answered")
			}
		})
	}
}

func residentServe(t *testing.T, h Handler) {
	s := &Server{Handler: h, MaxConns: 1000}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	fmt.Println(l.Addr())
	io.Copy(io.Discard, os.Stdin)
	ok(t, s.Close())
	<-done
	status, err := os.ReadFile("/proc/self/status")
	ok(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Println("peak", strings.TrimSpace(rest))
		}
	}
}

// upload sends n bodies of size bytes at once and returns how many of them got 200.
func upload(t *testing.T, addr string, n, size int) int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	body, whole := make([]byte, size), 0
	for range n {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", size)
			c.Write(body) // which fails where the server has answered 503
			answer, _ := io.ReadAll(c)
			if bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
				mu.Lock()
				whole++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return whole
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

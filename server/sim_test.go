package server_test

// The server in a simulated world: the same protocol over the same loop, on a network that fails. Whatever the network
// does, each request has one answer, whole, in order, and its own.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// host has a reactor of the world serve h.
func host(w *sim.World, h func(loop *reactor.Reactor) server.HandlerFunc) *reactor.Port {
	return hostHandler(w, func(loop *reactor.Reactor) server.Handler { return h(loop) })
}

// hostHandler is host for any Handler.
func hostHandler(w *sim.World, h func(loop *reactor.Reactor) server.Handler) *reactor.Port {
	loop := w.Reactor("server", reactor.Config{})
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Handler: h(loop), Log: nop, DetectLateUse: true}
	port, err := loop.ListenTCP("127.0.0.1:80", s.Factory(loop), &reactor.TCPOptions{TransportOptions: s.TransportOptions()})
	if err != nil {
		panic(err)
	}
	return port
}

// restless is the trouble that no answer may be lost in: everything but resets, and what makes time-outs pass.
func restless() sim.Config {
	return sim.Config{
		Reset: sim.Never, Aborted: sim.Never, NoDescriptor: sim.Never, Refused: sim.Never, Unanswered: sim.Never,
		Jump: sim.Never,
	}
}

func TestAnswersInSimulation(t *testing.T) {
	seeds := sim.Seeds(100) // of each; .ci/run makes ten times as many
	for name, c := range map[string]sim.Config{"restless": restless(), "with resets": {}} {
		workers := runtime.GOMAXPROCS(0)
		for i := range workers {
			first, last := i*seeds/workers, (i+1)*seeds/workers
			t.Run(fmt.Sprintf("%s/%d-%d", name, first+1, last), func(t *testing.T) {
				t.Parallel()
				sim.Check(t, uint64(first+1), last-first, c, func(w *sim.World) { playHTTP(w, name == "restless") })
			})
		}
	}
}

func playHTTP(w *sim.World, strict bool) {
	owed := 0
	port := host(w, func(loop *reactor.Reactor) server.HandlerFunc {
		return func(rw *server.Response, r *server.Request) {
			owed++
			rw.OnDone(func(*server.Response, *server.Request) { owed-- })
			answer(w, loop, rw, r)
		}
	})
	clients := 1 + w.Rand().IntN(3)
	gone := 0
	for i := range clients {
		w.Go(fmt.Sprint("client", i), func() {
			defer func() { gone++ }()
			client(w, port, i, strict)
		})
	}
	w.Go("judge", func() {
		w.Wait("the clients to leave", func() bool { return gone == clients })
		w.Sleep(5 * time.Minute)
		if owed != 0 {
			w.Errorf("at rest %d answers are not done", owed)
		}
		for _, d := range w.Descriptors() {
			if strings.HasSuffix(d, "stream") {
				w.Errorf("at rest descriptor %s is open", d)
			}
		}
	})
}

// answer is the handler: it answers now, later, bit by bit, or from a file, with what the request was. Some answers go
// through a filter.
func answer(w *sim.World, loop *reactor.Reactor, rw *server.Response, r *server.Request) {
	rnd := w.Rand()
	path, body := r.Path(), string(r.Body())
	size, _ := strconv.Atoi(r.Header("Size"))
	text := content(path, body, size)
	kind := rnd.IntN(5)
	if kind != 1 && rnd.IntN(3) == 0 {
		rw.OnHead(func(rw *server.Response, _ *server.Request) { holdBack(rw, rnd) })
	}
	switch kind {
	case 1:
		rw.SetHeader("Id", path)
		sendAsFile(w, rw, text)
	case 2:
		p := rw.Later()
		loop.CallLater(time.Duration(rnd.Int64N(int64(100*time.Millisecond))), func() {
			_ = p.Answer(func(rw *server.Response) { // ErrPeerGone if the connection was reset
				rw.SetHeader("Id", path)
				rw.WriteString(text)
			})
		})
	case 3:
		rw.SetHeader("Id", path)
		s := rw.Stream()
		rest := text
		var more func()
		more = func() {
			for !s.Full() && rest != "" {
				n := 1 + rnd.IntN(len(rest))
				if _, err := io.WriteString(s, rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
				if rnd.IntN(4) == 0 {
					loop.CallLater(time.Millisecond, more)
					return
				}
			}
			if rest == "" {
				_ = s.Close() // an error says that it is closed, or the peer gone
			}
		}
		s.OnDrain(more)
		more()
	default:
		rw.SetHeader("Id", path)
		rw.WriteString(text)
	}
}

// holdBack is a filter that gives out what it gets, but not when it gets it.
func holdBack(rw *server.Response, rnd *rand.Rand) {
	var kept []byte
	rw.Filter(func(dst, p []byte, last bool) ([]byte, error) {
		kept = append(kept, p...)
		n := len(kept)
		if !last && len(p) > 0 {
			n = rnd.IntN(n + 1)
		}
		dst = append(dst, kept[:n]...)
		kept = kept[n:]
		return dst, nil
	})
}

// sendAsFile answers from a file, which is closed when the answer is done.
func sendAsFile(w *sim.World, rw *server.Response, text string) {
	f, err := os.CreateTemp("", "microhttp")
	if err == nil {
		if err = os.Remove(f.Name()); err == nil {
			_, err = f.WriteString("before" + text)
		}
	}
	if err != nil {
		w.Errorf("%v", err)
		return
	}
	rw.OnDone(func(*server.Response, *server.Request) { f.Close() })
	rw.SendFile(f, int64(len("before")), int64(len(text)))
}

// content is what the answer to a request says.
func content(path, body string, size int) string {
	s := fmt.Sprintf("%s %d %s ", path, len(body), body)
	return s + strings.Repeat(path, (size+len(path)-1)/len(path))
}

// A request is one that a client sends, and what it must be answered with.
type request struct {
	method, path, wire, want string
}

func makeRequest(rnd *rand.Rand, id int, last bool) request {
	q := request{method: [...]string{"GET", "HEAD", "POST", "PUT"}[rnd.IntN(4)], path: fmt.Sprintf("/r%d", id)}
	size := rnd.IntN(1 << rnd.IntN(17))
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: sim\r\nSize: %d\r\n", q.method, q.path, size)
	if last && rnd.IntN(2) == 0 {
		b.WriteString("Connection: close\r\n")
	}
	body := ""
	if q.method == "POST" || q.method == "PUT" {
		body = strings.Repeat("b", rnd.IntN(1<<rnd.IntN(15)))
		if rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
		} else {
			b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
			for rest := body; rest != ""; {
				n := 1 + rnd.IntN(len(rest))
				fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
				rest = rest[n:]
			}
			b.WriteString("0\r\n\r\n")
		}
	} else {
		b.WriteString("\r\n")
	}
	q.wire = b.String()
	q.want = content(q.path, body, size)
	return q
}

// client sends requests without waiting for the answers, and has another script read those.
func client(w *sim.World, port *reactor.Port, number int, strict bool) {
	rnd := w.Rand()
	conn, err := w.Dial(port.Addr())
	if err != nil {
		if strict {
			w.Errorf("dial: %v", err)
		}
		return
	}
	n := 1 + rnd.IntN(10)
	var requests []request
	for i := range n {
		requests = append(requests, makeRequest(rnd, 100*number+i, i == n-1))
	}
	done := false
	w.Go(fmt.Sprint("reader", number), func() {
		defer func() { done = true }()
		readAnswers(w, conn, requests, strict)
	})
	for _, q := range requests {
		for rest := q.wire; rest != ""; {
			k := 1 + rnd.IntN(len(rest))
			if _, err := io.WriteString(conn, rest[:k]); err != nil {
				excuse(w, "write", err, strict)
				conn.Close()
				return
			}
			rest = rest[k:]
			if rnd.IntN(4) == 0 {
				w.Sleep(time.Duration(rnd.Int64N(int64(200 * time.Millisecond))))
			}
		}
	}
	if rnd.IntN(2) == 0 {
		if err := conn.CloseWrite(); err != nil {
			excuse(w, "half-close", err, strict)
		}
	}
	w.Wait("the answers", func() bool { return done })
	conn.Close()
}

// Date is the second of the answer, not of the start or of the connection (RFC 9110, 6.6.1).
func TestDateIsTheTimeOfTheAnswer(t *testing.T) {
	sim.Check(t, 1, 20, restless(), func(w *sim.World) {
		port := host(w, func(loop *reactor.Reactor) server.HandlerFunc {
			return func(rw *server.Response, r *server.Request) {
				rw.SetHeader("Now", loop.Now().UTC().Format(http.TimeFormat))
			}
		})
		w.Go("client", func() {
			conn, err := w.Dial(port.Addr())
			if err != nil {
				w.Errorf("dial: %v", err)
				return
			}
			defer conn.Close()
			in, dates := bufio.NewReader(conn), map[string]bool{}
			for range 3 {
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					w.Errorf("%v", err)
					return
				}
				date := res.Header.Get("Date")
				if date != res.Header.Get("Now") || dates[date] {
					w.Errorf("Date %q, but it is %q, and %v were said before", date, res.Header.Get("Now"), dates)
				}
				dates[date] = true
				w.Sleep(time.Second)
			}
		})
	})
}

// An endOf remembers how what it reads has ended.
type endOf struct {
	r   io.Reader
	err error
}

func (e *endOf) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil {
		e.err = err
	}
	return n, err
}

// readAnswers checks that the answers are those to the requests.
func readAnswers(w *sim.World, conn *sim.Conn, requests []request, strict bool) {
	end := &endOf{r: conn}
	in := bufio.NewReader(end)
	for _, q := range requests {
		res, err := http.ReadResponse(in, &http.Request{Method: q.method})
		if err != nil {
			if end.err != nil && end.err != io.EOF {
				err = end.err // it cut the head short, and what is left is malformed
			}
			excuse(w, "answer to "+q.path, err, strict)
			return
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			excuse(w, "body of "+q.path, err, strict)
			return
		}
		if res.StatusCode == 408 && !strict {
			return // the clock has leapt
		}
		want := q.want
		if q.method == "HEAD" {
			want = ""
		}
		if res.StatusCode != 200 || res.Header.Get("Id") != q.path || string(body) != want {
			w.Errorf("%s %s is answered with %d, Id %q, %d bytes of %d", q.method, q.path,
				res.StatusCode, res.Header.Get("Id"), len(body), len(want))
			return
		}
	}
}

// excuse fails the run unless the network may be at fault.
func excuse(w *sim.World, what string, err error, strict bool) {
	excused := slices.ContainsFunc([]error{
		syscall.ECONNRESET, syscall.EPIPE, syscall.ENOTCONN, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	}, func(excuse error) bool { return errors.Is(err, excuse) })
	if strict || !excused {
		w.Errorf("%s: %v", what, err)
	}
}

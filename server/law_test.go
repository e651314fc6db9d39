package server

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// Random conversations: requests of any kind, one behind the other, perhaps a bad one at the
// end with more behind it, cut anywhere, read slowly, half-closed or reset. Whatever it is,
// the laws hold:
//
//   - answers come in the order of the requests, one for each, and are well-formed;
//   - behind a refused request, a close or a panic nothing is served;
//   - what a handler sees of a request is what was sent;
//   - each exchange is finished exactly once;
//   - at rest the server holds nothing.
//
// A failure names its seed; -law.seed plays that conversation alone, -law.count more of them.
var (
	lawSeed  = flag.Uint64("law.seed", 0, "play the one conversation of TestLaws with this seed")
	lawCount = flag.Int("law.count", 200, "how many conversations TestLaws plays")
)

// lawClients converse side by side.
const lawClients = 8

// wish is a request and what must become of it.
type wish struct {
	text      string
	method    string
	served    bool   // a handler answers
	statuses  []int  // else one of these refuses
	body      string // of the answer
	ends      bool   // the connection ends behind the answer
	unspoken  bool   // there is no answer: the handler panics
	truncated bool   // … or breaks off in the middle
}

// bad are requests that are refused, with the statuses that may say so.
var bad = []wish{
	{text: "GET / HTTP/1.1\r\n\r\n", statuses: []int{400}},
	{text: "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", statuses: []int{400}},
	{text: "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", statuses: []int{400}},
	{text: "GET / HTTP/1.1\nHost: a\n\n", statuses: []int{400}},
	{text: "GET / HTTP/2.0\r\nHost: a\r\n\r\n", statuses: []int{505}},
	{text: "GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n", statuses: []int{414}},
	{text: "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 40000) + "\r\n\r\n", statuses: []int{431}},
	{text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", statuses: []int{400}},
	{text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", statuses: []int{400}},
	{text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", statuses: []int{413}},
	{text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", statuses: []int{400}},
	{text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n", statuses: []int{400}},
	{text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", statuses: []int{400, 501}},
	{text: "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\na", statuses: []int{417}},
	{text: "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", statuses: []int{501}},
	{text: "\x16\x03\x01\x00\x00", statuses: []int{400}},
	{text: "POST /refuse HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n", statuses: []int{400, 403}},
}

// ways are what the handler of the laws can do. The number is their weight.
var ways = []string{
	"now", "now", "now", "now", "later", "later", "timer", "blocking", "stream", "stream", "blocking-stream", "declared",
	"hints", "large", "slow-stream", "204", "close", "panic", "late-panic", "blocking-panic", "stream-panic", "abort",
	"own", "own-stream", "own-panic",
}

// lawServer counts what becomes of the exchanges.
type lawServer struct{ begun, done atomic.Int64 }

// Serve answers with the id and the body of the request, by the way that its path names.
func (l *lawServer) Serve(w *Response, r *Request) {
	l.begun.Add(1)
	finished := false
	w.OnDone(func(*Response, *Request) {
		if finished {
			panic("finished twice")
		}
		finished = true
		l.done.Add(1)
	})
	way, _, _ := strings.Cut(r.Path()[1:], "/")
	fill := func(w *Response) {
		io.WriteString(w, r.Header("X-Id"))
		w.Write(r.PeekBody())
	}
	stream := func(w *Response, r *Request) {
		s := w.Stream()
		fill(w)
		s.AddTrailer("X-End", "1")
		s.Close()
	}
	switch way {
	case "later":
		p := w.Later()
		go p.Answer(fill)
	case "timer":
		p := w.Later()
		r.Reactor().CallLater(time.Millisecond, func() { p.Answer(fill) })
	case "blocking":
		BlockingFunc(func(w *Response, _ *Request) { fill(w) }).Serve(w, r)
	case "blocking-stream":
		BlockingFunc(stream).Serve(w, r)
	case "own":
		OwnGoroutine(HandlerFunc(func(w *Response, _ *Request) { fill(w) })).Serve(w, r)
	case "own-stream":
		OwnGoroutine(HandlerFunc(stream)).Serve(w, r)
	case "stream":
		stream(w, r)
	case "declared":
		w.SetHeader("Content-Length", fmt.Sprint(len(r.Header("X-Id"))+len(r.PeekBody())))
		stream(w, r)
	case "slow-stream":
		s, left := w.Stream(), largeAnswer
		fill(w)
		more := func() {
			for left > 0 && !s.Full() {
				n := min(left, 30_000)
				s.Write(bytes.Repeat([]byte("x"), n))
				left -= n
			}
			if left == 0 {
				s.Close()
			}
		}
		s.OnDrain(more)
		more()
	case "hints":
		w.Interim(103, Field{"Link", "</a>"})
		fill(w)
	case "large":
		fill(w)
		w.Write(bytes.Repeat([]byte("x"), largeAnswer))
	case "204":
		w.SetStatus(204)
		fill(w)
	case "close":
		w.SetHeader("Connection", "close")
		fill(w)
	case "panic":
		panic("law")
	case "late-panic":
		p := w.Later()
		go p.Answer(func(*Response) { panic("law") })
	case "blocking-panic":
		BlockingFunc(func(*Response, *Request) { panic("law") }).Serve(w, r)
	case "own-panic":
		OwnGoroutine(HandlerFunc(func(*Response, *Request) { panic("law") })).Serve(w, r)
	case "stream-panic":
		s := w.Stream()
		s.WriteString("half")
		panic("law")
	case "abort":
		panic(ErrAbortHandler)
	default:
		fill(w)
	}
}

const largeAnswer = 300_000

// newWish makes a request that is served, or whose handler panics.
func newWish(rnd *rand.Rand, id int) wish {
	w := wish{served: true, method: []string{"GET", "GET", "POST", "POST", "PUT", "HEAD"}[rnd.IntN(6)]}
	way, minor := ways[rnd.IntN(len(ways))], 1
	if rnd.IntN(8) == 0 {
		minor = 0
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s /%s/%d?q HTTP/1.%d\r\nHost: a\r\nX-Id: %d.\r\n", w.method, way, id, minor, id)
	keep := minor == 1
	switch rnd.IntN(10) {
	case 0:
		b.WriteString("Connection: close\r\n")
		keep = false
	case 1, 2, 3:
		b.WriteString("Connection: x, Keep-Alive\r\n")
		keep = true
	}
	if rnd.IntN(3) == 0 {
		b.WriteString("TE: trailers\r\nCookie: a=b\r\nX: " + strings.Repeat("y", rnd.IntN(3000)) + "\r\n")
	}
	body := ""
	switch rnd.IntN(6) {
	case 0, 1:
		body = strings.Repeat(fmt.Sprint(id, " GET /evil HTTP/1.1\r\n\r\n"), rnd.IntN(60))
	case 2:
		body = strings.Repeat("b", rnd.IntN(200_000))
	}
	if body != "" && rnd.IntN(3) == 0 {
		b.WriteString("Expect: 100-continue\r\n")
	}
	if chunked := minor == 1 && rnd.IntN(2) == 0; chunked {
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for rest := body; rest != ""; {
			n := 1 + rnd.IntN(len(rest))
			fmt.Fprintf(&b, "%x;e=\"f\"\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		b.WriteString("0\r\nX-Trailer: y\r\n\r\n")
	} else {
		if body != "" || rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
		}
		b.WriteString("\r\n" + body)
	}
	w.text = b.String()
	w.body = fmt.Sprintf("%d.%s", id, body)
	w.ends = !keep || way == "close"
	switch way {
	case "large", "slow-stream":
		w.body += strings.Repeat("x", largeAnswer)
	case "204":
		w.body = ""
	case "panic", "late-panic", "blocking-panic", "own-panic", "abort":
		w.unspoken, w.ends = true, true
	case "stream-panic":
		w.truncated, w.ends = true, true
	}
	if minor == 0 && (way == "stream" || way == "blocking-stream" || way == "own-stream" || way == "slow-stream") && w.method != "HEAD" {
		w.ends = true // it is delimited so
	}
	if w.method == "HEAD" {
		w.body = ""
	}
	return w
}

func TestLaws(t *testing.T) {
	law := &lawServer{}
	s, addr := start(t, law.Serve, func(s *Server) {
		nop := Zerolog(zerolog.Nop())
		s.Log = nop
		s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
			if r.Path() == "/refuse" {
				w.Error(403)
				return
			}
			next.Serve(w, r)
		})(law)
	})
	seeds := make(chan uint64, *lawCount)
	if *lawSeed != 0 {
		seeds <- *lawSeed
	} else {
		for range *lawCount {
			seeds <- rand.Uint64()
		}
	}
	close(seeds)
	var clients sync.WaitGroup
	for range lawClients {
		clients.Go(func() {
			for seed := range seeds {
				if err := conversation(addr, rand.New(rand.NewPCG(seed, 0))); err != nil {
					t.Errorf("-law.seed=%d: %v", seed, err)
				}
			}
		})
	}
	clients.Wait()
	await(t, "every exchange to be finished", func() bool { return law.begun.Load() == law.done.Load() })
	await(t, "nothing to be held", func() bool {
		in, out := held(s)
		return in == 0 && out == 0 && s.doors.open.Load() == 0
	})
	if n := onLoop(s, func(w *worker) int { return w.open }); n != 0 {
		t.Errorf("%d connections at rest", n)
	}
}

// conversation plays one, and says which law was broken.
func conversation(addr netip.AddrPort, rnd *rand.Rand) error {
	var wishes []wish
	for range 1 + rnd.IntN(8) {
		wishes = append(wishes, newWish(rnd, len(wishes)))
	}
	if rnd.IntN(3) == 0 {
		b := bad[rnd.IntN(len(bad))]
		b.method, b.ends = "POST", true
		wishes = append(wishes, b)
	}
	for range rnd.IntN(3) { // nobody serves these if something before them ends the connection
		wishes = append(wishes, newWish(rnd, len(wishes)))
	}
	var text bytes.Buffer
	for _, w := range wishes {
		text.WriteString(w.text)
	}
	resets, cutAt := rnd.IntN(10) == 0, text.Len()
	if resets {
		cutAt = rnd.IntN(text.Len())
	}

	nc, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if rnd.IntN(4) == 0 {
		nc.SetReadBuffer(128 << 10) // much less, and loopback comes to a stand: its segments have 64 KiB
	}
	cuts := cutAnywhere(rnd, cutAt)
	reads := rnd.IntN(3)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		from := 0
		for _, to := range cuts {
			if _, err := nc.Write(text.Bytes()[from:to]); err != nil {
				return // it has ended, and what it said is judged
			}
			from = to
		}
		if resets {
			nc.SetLinger(0)
			nc.Close()
			return
		}
		nc.CloseWrite()
	}()
	defer func() { <-sent }()
	var from io.Reader = nc
	if reads == 0 {
		from = &slowReader{nc, 1 + rnd.IntN(2000)}
	}
	err = judge(bufio.NewReader(from), wishes)
	lossy := resets || slices.ContainsFunc(wishes, func(w wish) bool { return w.truncated }) // a reset overtakes
	if lossy && err != nil && errors.As(err, new(*cutShort)) {
		return nil // so it was meant
	}
	return err
}

func cutAnywhere(rnd *rand.Rand, n int) []int {
	cuts := []int{n}
	for range rnd.IntN(12) {
		cuts = append(cuts, rnd.IntN(n+1))
	}
	slices.Sort(cuts)
	return cuts
}

// slowReader reads little at a time.
type slowReader struct {
	io.Reader
	most int
}

func (s *slowReader) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), s.most)]) }

// cutShort is an answer that is missing or not whole.
type cutShort struct{ error }

// judge reads the answers to wishes.
func judge(in *bufio.Reader, wishes []wish) error {
	for i, w := range wishes {
		res, body, err := readFinal(in, w.method)
		switch {
		case (w.unspoken || w.truncated) && err == nil:
			return fmt.Errorf("request %d, %.60q, got a whole answer: %d", i, w.text, res.StatusCode)
		case w.unspoken || w.truncated:
			return nil
		case err != nil:
			return &cutShort{fmt.Errorf("answer %d of %d, to %.60q: %w", i, len(wishes), w.text, err)}
		case !w.served && !slices.Contains(w.statuses, res.StatusCode):
			return fmt.Errorf("%.60q got %d, want %v", w.text, res.StatusCode, w.statuses)
		case w.served && res.StatusCode/100 != 2:
			return fmt.Errorf("%.60q got %d", w.text, res.StatusCode)
		case w.served && body != w.body:
			return fmt.Errorf("%.60q got %.60q (%d bytes), want %.60q (%d)", w.text, body, len(body), w.body, len(w.body))
		case w.ends != res.Close && (w.ends || i < len(wishes)-1):
			return fmt.Errorf("%.60q: close is %v, want %v", w.text, res.Close, w.ends)
		case w.ends:
			return nothingMore(in)
		}
	}
	return nothingMore(in)
}

// readFinal reads a final answer, over interim ones.
func readFinal(in *bufio.Reader, method string) (*http.Response, string, error) {
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return nil, "", err
		}
		if res.StatusCode < 200 {
			continue
		}
		if res.Header.Get("Date") == "" {
			return res, "", errors.New("no Date")
		}
		body, err := io.ReadAll(res.Body)
		return res, string(body), err
	}
}

// nothingMore shows that the connection ends; it may be by a reset, since the peer has more
// to say than the server will read.
func nothingMore(in *bufio.Reader) error {
	b, err := io.ReadAll(in)
	var timeout net.Error
	switch {
	case len(b) > 0:
		return fmt.Errorf("something is answered that must not be: %.200q", b)
	case errors.As(err, &timeout) && timeout.Timeout():
		return &cutShort{errors.New("the connection does not end")}
	}
	return nil
}

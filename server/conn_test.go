package server

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// conversations are what a peer may send on one connection. Split in any way, each
// must be answered alike: that is the law of the next test.
var conversations = map[string]string{
	"one":             "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"pipelined":       strings.Repeat("GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", 3),
	"body":            "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
	"body, then get":  "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /q HTTP/1.1\r\nHost: a\r\n\r\n",
	"chunked":         "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\nGET /q HTTP/1.1\r\nHost: a\r\n\r\n",
	"close":           "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"close, then get": "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /ignored HTTP/1.1\r\nHost: a\r\n\r\n",
	"1.0":             "GET / HTTP/1.0\r\n\r\n",
	"1.0 keep-alive":  "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
	"bad second":      "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"bad chunk":       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	"half a head":     "GET / HTTP/1.1\r\nHos",
	"half a body":     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
	"head":            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
	"connect":         "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nraw",
	"empty lines":     "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	"later":           "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	"blocking":        "POST /blocking HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	"stream":          "GET /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	"1.0 stream":      "GET /stream HTTP/1.0\r\n\r\n",
	"head of stream":  "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
}

// anyWay answers as echo does, by the way that the path names.
func anyWay(w *Response, r *Request) {
	switch r.Path() {
	case "/later":
		p := w.Later()
		go p.Answer(func(w *Response) { echo(w, p.Request()) })
	case "/blocking":
		Blocking(HandlerFunc(echo)).Serve(w, r)
	case "/stream":
		s := w.Stream()
		echo(w, r)
		s.WriteString(", ")
		s.WriteString("streamed")
		s.Close()
	default:
		echo(w, r)
	}
}

// converse sends the pieces, each in a packet of its own as far as loopback goes,
// half-closes, and returns all that comes back.
func converse(p *peer, pieces ...string) string {
	go func() {
		for _, piece := range pieces {
			if _, err := io.WriteString(p.TCPConn, piece); err != nil {
				return
			}
		}
		p.CloseWrite()
	}()
	b, err := io.ReadAll(p.r)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // a peer that asks for the end and sends more gets that too
		p.t.Fatalf("reading to the end: %v (after %q)", err, b)
	}
	return undated(string(b))
}

func TestAnySplitOfAConversationIsAnsweredAlike(t *testing.T) {
	_, addr := start(t, anyWay)
	random := rand.New(rand.NewPCG(1, 2))
	for name, bytes := range conversations {
		t.Run(name, func(t *testing.T) {
			whole := converse(dial(t, addr), bytes)
			if !strings.HasPrefix(whole, "HTTP/1.1 ") {
				t.Fatalf("answered with %q", whole)
			}
			for cut := 1; cut < len(bytes); cut += 1 + random.IntN(5) {
				if got := converse(dial(t, addr), bytes[:cut], bytes[cut:]); got != whole {
					t.Fatalf("cut at %d:\n got %q\nwant %q", cut, got, whole)
				}
			}
			if got := converse(dial(t, addr), strings.Split(bytes, "")...); got != whole {
				t.Errorf("byte by byte:\n got %q\nwant %q", got, whole)
			}
		})
	}
}

// The same law without the kernel: every split in two, exactly.
func TestAnySplitInMemory(t *testing.T) {
	for name, bytes := range conversations {
		if strings.Contains(bytes, "later") || strings.Contains(bytes, "blocking") || strings.Contains(bytes, "stream") {
			continue // those are answered by posted calls, and this loop does not run
		}
		run := func(cut int) string {
			p, m := inMemory(t, anyWay)
			p.DataReceived([]byte(bytes[:cut]))
			p.DataReceived([]byte(bytes[cut:]))
			if m.ended == "" && name == "close" {
				t.Errorf("cut at %d: the connection stays open", cut)
			}
			return undated(m.out.String())
		}
		whole := run(len(bytes))
		for cut := range len(bytes) {
			if got := run(cut); got != whole {
				t.Fatalf("%s, cut at %d:\n got %q\nwant %q", name, cut, got, whole)
			}
		}
	}
}

func TestLentBytesAreNotKept(t *testing.T) {
	const request = "POST /a HTTP/1.1\r\nHost: a\r\nX-Field: value\r\nContent-Length: 10\r\n\r\n0123456789"
	for cut := range len(request) {
		p, m := inMemory(t, echo)
		for _, piece := range []string{request[:cut], request[cut:]} {
			lent := []byte(piece)
			p.DataReceived(lent)
			for i := range lent {
				lent[i] = '!'
			}
		}
		wantContains(t, fmt.Sprintf("cut at %d", cut), m.out.String(), `POST /a "0123456789" Host=a X-Field=value`)
	}
}

func TestPipelinedBatchIsOneWrite(t *testing.T) {
	p, m := inMemory(t, hello)
	p.DataReceived([]byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 16)))
	if got := strings.Count(m.out.String(), "Hello, World!"); got != 16 {
		t.Errorf("%d answers, want 16", got)
	}
	if m.writes != 16 {
		t.Errorf("%d calls of Transport.Write, want one for each answer, which the transport gathers", m.writes)
	}
}

func TestPersistence(t *testing.T) {
	_, addr := start(t, hello)
	for _, c := range []struct {
		name, request string
		connection    string
		stays         bool
	}{
		{"1.1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", true},
		{"1.1 close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", "close", false},
		{"1.1 close in a list", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive,\t close\r\n\r\n", "close", false},
		{"1.0", "GET / HTTP/1.0\r\n\r\n", "close", false},
		{"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "keep-alive", true},
		{"1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dial(t, addr)
			p.send("%s", c.request)
			res, err := http.ReadResponse(p.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			want(t, "body", string(body), "Hello, World!")
			connection := strings.Join(res.Header["Connection"], "|")
			if res.Close && connection == "" {
				connection = "close" // http.ReadResponse moves it there
			}
			want(t, "Connection", connection, c.connection)
			if c.stays {
				p.get("/again")
			} else {
				want(t, "after the answer", p.rest(), "")
			}
		})
	}
}

func TestContinue(t *testing.T) {
	_, addr := start(t, echo, func(s *Server) { s.MaxBodyBytes = 100 })
	for _, c := range []struct {
		name, head, body string
		interim          bool
		status           int
	}{
		{"awaited", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "abc", true, 200},
		{"chunked", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", true, 200},
		{"body is there", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "", false, 200},
		{"no body", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "", false, 200},
		{"1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "abc", false, 200},
		{"too large", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n", "", false, 413},
		{"another", "POST / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\nContent-Length: 3\r\n\r\n", "", false, 417},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dial(t, addr)
			p.send("%s", c.head)
			if c.interim {
				line, _ := p.r.ReadString('\n')
				want(t, "interim response", line, "HTTP/1.1 100 Continue\r\n")
				line, _ = p.r.ReadString('\n')
				want(t, "its end", line, "\r\n")
			}
			p.send("%s", c.body)
			if res, _ := p.answer("POST"); res.StatusCode != c.status {
				t.Errorf("status %d, want %d", res.StatusCode, c.status)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	_, addr := start(t, echo, func(s *Server) {
		s.MaxHeaderBytes, s.MaxHeaderFields, s.MaxTargetBytes, s.MaxBodyBytes = 1000, 10, 100, 100
	})
	for _, c := range []struct {
		status  int
		request string
	}{
		{400, "GET / HTTP/1.1\r\n\r\n"},
		{400, "\x16\x03\x01\x02"},
		{413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"},
		{413, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"},
		{414, "GET /" + strings.Repeat("a", 101)},
		{417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"},
		{431, "GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("a", 1000)},
		{431, "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 10) + "\r\n"},
		{501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
		{501, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"},
		{505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
	} {
		p := dial(t, addr)
		p.send("%s", "GET /first HTTP/1.1\r\nHost: a\r\n\r\n"+c.request)
		if res, _ := p.answer("GET"); res.StatusCode != 200 {
			t.Errorf("%.40q: the request before it got %d", c.request, res.StatusCode)
		}
		res, body := p.answer("POST")
		if res.StatusCode != c.status || !res.Close || body == "" {
			t.Errorf("%.40q: status %d, close %v, body %q; want %d and close", c.request, res.StatusCode, res.Close, body, c.status)
		}
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") // nobody must answer this
		p.CloseWrite()
		want(t, "after the refusal", p.rest(), "")
	}
}

// What is for somebody else is not served, but the connection is none the worse.
func TestMisdirected(t *testing.T) {
	_, addr := start(t, echo)
	p := dial(t, addr)
	p.send("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, _ := p.answer("GET"); res.StatusCode != 421 {
		t.Errorf("status %d, want 421", res.StatusCode)
	}
	p.get("/")
}

// A refusal must reach a peer that goes on sending what was refused.
func TestRefusalReachesAPeerThatStillSends(t *testing.T) {
	_, addr := start(t, echo)
	p := dial(t, addr)
	p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n")
	for range 200 {
		p.send("%s", strings.Repeat("x", 100_000))
	}
	p.CloseWrite()
	if res, _ := p.answer("POST"); res.StatusCode != 413 {
		t.Errorf("status %d, want 413", res.StatusCode)
	}
	want(t, "after it", p.rest(), "")
}

func TestTimeouts(t *testing.T) {
	short := 100 * time.Millisecond
	_, addr := start(t, hello, func(s *Server) {
		s.ReadHeaderTimeout, s.BodyTimeout, s.IdleTimeout = short, short, short
	})
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		name, send string
		statuses   []string
	}{
		{"nothing", "", nil},
		{"idle", get, []string{"200"}},
		{"head", "GET / HT", []string{"408"}},
		{"second head", get + "GET", []string{"200", "408"}},
		{"body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na", []string{"408"}},
		{"chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5", []string{"408"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			p := dial(t, addr)
			p.send("%s", c.send)
			answer := p.rest()
			if time.Since(began) < short {
				t.Errorf("ended after %v, before its time", time.Since(began))
			}
			var got []string
			for _, part := range strings.Split(answer, "HTTP/1.1 ")[1:] {
				got = append(got, part[:3])
			}
			want(t, "statuses", fmt.Sprint(got), fmt.Sprint(c.statuses))
		})
	}
}

// A peer that pipelines and never reads must not make the server buffer without end:
// it stops reading, so the peer's own send blocks.
func TestPeerThatDoesNotReadIsNotReadFrom(t *testing.T) {
	waits(t)
	served := make(chan struct{}, 1<<20)
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	batch := []byte(strings.Repeat(strings.Replace(request, "Host", "X: "+strings.Repeat("x", 500)+"\r\nHost", 1), 100))
	body := strings.Repeat("x", 5000)
	_, addr := start(t, func(w *Response, r *Request) {
		served <- struct{}{}
		w.WriteString(body)
	})
	p := dial(t, addr)
	p.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	sent := 0
	for sent < 64<<20 {
		n, err := p.TCPConn.Write(batch)
		sent += n
		if err != nil {
			break
		}
	}
	if sent >= 64<<20 {
		t.Fatal("the server goes on reading from a peer that does not read")
	}
	// Now it reads: every whole request it sent must be answered, in order.
	requests, whole := sent/(len(batch)/100), sent%(len(batch)/100) == 0
	p.CloseWrite()
	p.SetDeadline(time.Now().Add(patience))
	all := p.rest()
	answers := strings.Count(all, "HTTP/1.1 200 OK")
	if cut := strings.Count(all, "HTTP/1.1 400 "); !whole && cut != 1 {
		t.Errorf("%d answers for the request that was cut short", cut)
	}
	if answers != requests || len(served) != requests {
		t.Errorf("%d requests, %d served, %d answers", requests, len(served), answers)
	}
}

// Which timeout runs after which bytes.
func TestWhichTimeoutRuns(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	head, body, idle := 10*time.Second, 10*time.Minute, 75*time.Second
	for _, c := range []struct {
		pieces []string
		want   time.Duration
	}{
		{nil, head},
		{[]string{get}, idle},
		{[]string{get, get}, idle},
		{[]string{"G"}, head},
		{[]string{"G", get[1:]}, idle},
		{[]string{get + "G"}, head},
		{[]string{get, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"}, body},
		{[]string{"GET /later HTTP/1.1\r\nHost: a\r\n\r\n"}, 5 * time.Minute},
		{[]string{"GET /blocking HTTP/1.1\r\nHost: a\r\n\r\n"}, 0},
		{[]string{"\r\n"}, head}, // empty lines gain no time
		{[]string{get, "\r\n"}, idle},
	} {
		p, m := inMemory(t, func(w *Response, r *Request) {
			switch r.Path() {
			case "/later":
				w.Later()
			case "/blocking":
				Blocking(HandlerFunc(hello)).Serve(w, r)
			}
		}, func(s *Server) { s.MinDataRate = -1 })
		for _, piece := range c.pieces {
			p.DataReceived([]byte(piece))
		}
		if m.timeout != c.want {
			t.Errorf("after %q: %v, want %v", c.pieces, m.timeout, c.want)
		}
	}
}

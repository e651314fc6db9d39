package main

// The mix: what honest clients send, in every way that HTTP/1.1 has to frame it, from several of them at the same time.
// Names and sizes are drawn from a seed, so that a run can be repeated.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	longestPipeline  = 8
	largestBody      = 1 << 20
	continuePatience = time.Second // before a client that expects 100 sends its body all the same (RFC 9110, 10.1.1)
)

// A named is one request and what its answer must be.
type named struct {
	name     string
	method   string
	head     string // up to its empty line
	body     string // as it is framed
	expect   bool   // the body waits for 100 Continue
	last     bool   // the connection ends behind the answer
	status   int
	content  string
	length   int    // of the content, where content does not say it
	reflects string // in the field X-Reflect
}

// A mixer is one client of the mix.
type mixer struct {
	court *court
	addr  string
	who   string
	n     int
	rng   *rand.Rand
	conn  net.Conn
	r     *bufio.Reader
}

// mix makes n requests through addr and returns when all are answered, or not.
func mix(ctx context.Context, c *court, addr string, n, clients int, seed uint64) {
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for i := range clients {
		m := mixer{
			court: c, addr: addr, who: fmt.Sprintf("mix-%d-", i), rng: rand.New(rand.NewPCG(seed, uint64(i))), r: bufio.NewReader(nil),
		}
		wg.Go(func() {
			defer m.hangUp()
			for left.Load() > 0 && ctx.Err() == nil {
				left.Add(-int64(m.turn()))
			}
		})
	}
	wg.Wait()
}

// turn makes some requests on the client's connection, back to back, and returns how many.
func (m *mixer) turn() int {
	if m.conn == nil {
		conn, err := net.DialTimeout("tcp4", m.addr, askTimeout)
		if err != nil {
			m.court.accuse("%s cannot connect: %v", m.who, err)
			return 1
		}
		m.conn = conn
		m.r.Reset(conn)
	}
	m.conn.SetDeadline(time.Now().Add(askTimeout))
	if m.rng.IntN(25) == 0 {
		m.giveUp()
		return 1
	}
	batch := make([]named, 1)
	if m.rng.IntN(3) == 0 {
		batch = make([]named, 2+m.rng.IntN(longestPipeline-1))
	}
	for i := range batch {
		batch[i] = m.next(i == len(batch)-1)
		m.court.send(batch[i].name, mustAnswer)
	}
	if err := m.play(batch); err != nil {
		m.court.accuse("%v", err)
		m.hangUp()
	} else if batch[len(batch)-1].last {
		m.expectEnd(batch[len(batch)-1].name)
	}
	return len(batch)
}

// giveUp sends a part of a request and resets the connection.
func (m *mixer) giveUp() {
	q := m.post("/", false, 200+m.rng.IntN(100_000))
	m.court.send(q.name, mayVanish)
	text := q.head + q.body
	io.WriteString(m.conn, text[:m.rng.IntN(len(text))])
	reset(m.conn)
	m.conn = nil
}

func (m *mixer) hangUp() {
	if m.conn != nil {
		m.conn.Close()
		m.conn = nil
	}
}

func (m *mixer) expectEnd(name string) {
	if _, err := m.r.ReadByte(); !errors.Is(err, io.EOF) {
		m.court.accuse("behind the last answer, to %s: %v", name, err)
	}
	m.hangUp()
}

// play sends a batch and reads its answers meanwhile: whoever writes first and reads then waits forever if the others do
// the same.
func (m *mixer) play(batch []named) error {
	proceed := make(chan struct{}, len(batch)) // a token for each 100 Continue
	sent := make(chan struct{})
	go func(conn net.Conn) {
		defer close(sent)
		var out strings.Builder
		for i := range batch {
			out.WriteString(batch[i].head)
			if batch[i].expect {
				io.WriteString(conn, out.String()) // what goes wrong shows in the answers
				out.Reset()
				select {
				case <-proceed:
				case <-time.After(continuePatience):
				}
			}
			out.WriteString(batch[i].body)
		}
		io.WriteString(conn, out.String())
	}(m.conn)
	defer func() { <-sent }()
	for i := range batch {
		if err := m.answer(&batch[i], proceed); err != nil {
			m.hangUp()
			close(proceed)
			return fmt.Errorf("%s %s, %d of %d: %w", batch[i].method, batch[i].name, i+1, len(batch), err)
		}
	}
	return nil
}

// answer reads one answer and holds it against what it must be.
func (m *mixer) answer(q *named, proceed chan<- struct{}) error {
	resp, err := readAnswer(m.r, q.method, proceed)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if names := resp.Header["X-Request-Id"]; len(names) != 1 || names[0] != q.name {
		return fmt.Errorf("got the answer to %q: %s, %.80q", names, resp.Status, content)
	}
	if resp.StatusCode != q.status || resp.Header.Get("X-Reflect") != q.reflects {
		return fmt.Errorf("answered %d, X-Reflect %q", resp.StatusCode, resp.Header.Get("X-Reflect"))
	}
	if q.method == "HEAD" {
		q.content, q.length = "", 0
	}
	if q.length == 0 && string(content) != q.content || q.length > 0 && len(content) != q.length {
		return fmt.Errorf("answered %d bytes, %.80q, want %d, %.80q", len(content), content, max(q.length, len(q.content)), q.content)
	}
	m.court.answer(q.name)
	return nil
}

// readAnswer reads the next final answer; each 100 Continue on the way is a token for proceed.
func readAnswer(r *bufio.Reader, method string, proceed chan<- struct{}) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
		select {
		case proceed <- struct{}{}:
		default:
		}
	}
}

// next draws a request. One that ends its connection comes last.
func (m *mixer) next(last bool) named {
	switch m.rng.IntN(16) {
	case 0:
		return m.status(204)
	case 1:
		return m.status(304)
	case 2:
		return m.status([]int{205, 404, 418, 500, 503}[m.rng.IntN(5)])
	case 3:
		q := m.get("HEAD", "/users/")
		q.content = ""
		return q
	case 4:
		n := 1 + m.rng.IntN(300_000)
		q := m.request("GET", fmt.Sprintf("/bytes/%d", n), "", "")
		q.length = n
		return q
	case 5:
		q := m.request("GET", "/reflect?v="+m.who, "", "")
		q.reflects, q.content = m.who, "see X-Reflect\n"
		return q
	case 6:
		q := m.request("GET", "/sleep/2", "", "")
		q.content = "slept 2 ms\n"
		return q
	case 7, 8, 9:
		return m.post("/", false, m.size())
	case 10, 11:
		return m.post("/", true, m.size())
	case 12:
		q := m.post("/", m.rng.IntN(2) == 0, m.size())
		if last { // a client that waits does not pipeline
			q.head = strings.Replace(q.head, "\r\n", "\r\nExpect: 100-continue\r\n", 1)
			q.expect = true
		}
		return q
	case 13:
		if last {
			return m.oldVersion()
		}
	case 14:
		if last {
			q := m.get("GET", "/users/")
			q.head = strings.Replace(q.head, "\r\n", "\r\nConnection: close\r\n", 1)
			q.last = true
			return q
		}
	}
	return m.get("GET", "/users/")
}

func (m *mixer) size() int {
	if m.rng.IntN(20) == 0 {
		return 1 + m.rng.IntN(largestBody)
	}
	return 1 + m.rng.IntN(2000)
}

// request makes one with a name of its own.
func (m *mixer) request(method, target, fields, body string) named {
	name := m.newName()
	head := method + " " + target + " HTTP/1.1\r\nHost: bench.example\r\nX-Request-Id: " + name + "\r\n" + fields + "\r\n"
	return named{name: name, method: method, head: head, body: body, status: 200}
}

func (m *mixer) newName() string {
	m.n++
	return fmt.Sprintf("%s%d", m.who, m.n)
}

func (m *mixer) get(method, path string) named {
	q := m.request(method, path+m.who, "", "")
	q.content = "id=" + m.who + "\n"
	return q
}

func (m *mixer) status(code int) named {
	q := m.request("GET", fmt.Sprintf("/status/%d", code), "", "")
	q.status = code
	if code != 204 && code != 205 && code != 304 {
		q.content = fmt.Sprintf("%d %s\n", code, http.StatusText(code))
	}
	return q
}

// oldVersion speaks HTTP/1.0: the connection ends behind the answer, unless it is asked to stay.
func (m *mixer) oldVersion() named {
	q := m.get("GET", "/users/")
	q.head = strings.Replace(q.head, "HTTP/1.1", "HTTP/1.0", 1)
	if q.last = m.rng.IntN(2) == 0; !q.last {
		q.head = strings.Replace(q.head, "\r\n", "\r\nConnection: keep-alive\r\n", 1)
	}
	return q
}

// post sends a body of n bytes that is made of its name, to be echoed. A part of the bodies look like requests.
func (m *mixer) post(path string, chunked bool, n int) named {
	q := m.request("POST", path+"?"+m.who, "", "")
	line := q.name + "\n"
	if m.rng.IntN(4) == 0 {
		line = "0\r\n\r\nGET /users/inner HTTP/1.1\r\nHost: a\r\nX-Request-Id: " + q.name + "-inner\r\n\r\n"
		m.court.send(q.name+"-inner", mustNotBe)
	}
	q.content = strings.Repeat(line, n/len(line)+1)[:n]
	framing := fmt.Sprintf("Content-Length: %d\r\n", n)
	q.body = q.content
	if chunked {
		framing = "Transfer-Encoding: chunked\r\n"
		q.body = m.chunks(q.content)
	}
	q.head = strings.TrimSuffix(q.head, "\r\n") + framing + "\r\n"
	return q
}

// chunks cuts a body into chunks of any size, some of them with extensions, and adds a trailer at times.
func (m *mixer) chunks(body string) string {
	var b strings.Builder
	for len(body) > 0 {
		n := 1 + m.rng.IntN(min(len(body), 1+m.rng.IntN(40_000)))
		extension := []string{"", "", "", ";a", ";a=b", `;a="b c"`}[m.rng.IntN(6)]
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", n, extension, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n")
	if m.rng.IntN(4) == 0 {
		b.WriteString("X-Trailer: t\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

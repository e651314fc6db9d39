package servertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"microhttp/reactor/sim"
	"microhttp/server"
)

// Seeds plays n worlds, of the seeds 1 to n: for each it makes a handler, has f use a Client of its own, and ends the server.
// Bytes are cut, merged and delayed, and buffers are small; no connection fails by itself. Network changes that, with any
// seed. The first world that fails is the last one, and its seed is shown. SIM_SEED=7 in the environment plays seed 7 alone,
// and SIM_SEEDS=10 ten times as many.
func Seeds(t testing.TB, n int, h func() server.Handler, f func(c *Client), options ...Option) {
	t.Helper()
	first, last := uint64(1), uint64(sim.Seeds(n))
	if s := os.Getenv(sim.SeedVariable); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("servertest: %s: %v", sim.SeedVariable, err)
		}
		first, last = seed, seed
	}
	options = append([]Option{Network(0, restless())}, options...)
	for seed := first; seed <= last && !t.Failed(); seed++ {
		playSeed(t, seed, h(), f, options)
	}
}

func playSeed(t testing.TB, seed uint64, h server.Handler, f func(c *Client), options []Option) {
	t.Helper()
	c := start(t, &server.Server{Handler: h}, append(slices.Clip(options), func(o *config) { o.seed = seed }))
	defer c.end()
	f(c)
}

// restless is a network that is slow and cuts everything, but loses nothing.
func restless() sim.Config {
	return sim.Config{
		Reset: sim.Never, Aborted: sim.Never, NoDescriptor: sim.Never, NoMemory: sim.Never, Refused: sim.Never,
		Unanswered: sim.Never, Jump: sim.Never, CallTime: -1,
	}
}

// A Visit is what became of one peer of a Crowd.
type Visit struct {
	Request  string    // "GET /notes"
	Manner   string    // what the peer was like: "sends slowly, resets in the middle of its answer"
	Stayed   bool      // it meant to read its whole answer
	Response *Response // nil if it has read none that was whole
	Err      error     // why not, if it stayed
}

// A Request is one of those that the peers of a Crowd send.
type Request struct {
	request string
	parts   []Part
}

// NewRequest makes a Request: "METHOD target" and its parts. A body of [Upload] is not for a Crowd.
func NewRequest(request string, parts ...Part) Request { return Request{request, parts} }

// Crowd has n peers visit the server at the same time, each with one of the requests, on a connection of its own, and in a
// manner of its own that is drawn from the seed. Some send in pieces, with pauses; some read slowly; some leave or reset the
// connection before the end; some just fall silent for longer than any time-out. Crowd returns when all have gone and the
// server has let go of their connections. One that is still open after half an hour fails the test.
//
// It is for the question what handlers leave behind, whatever peers do: give each seed a handler of its own, by [Seeds].
func (c *Client) Crowd(n int, requests ...Request) []Visit {
	c.t.Helper()
	if len(requests) == 0 {
		requests = []Request{{"GET /", nil}}
	}
	visits := make([]Visit, n)
	gone, before := 0, c.open()
	for i := range visits {
		rnd := rand.New(rand.NewPCG(c.seed, uint64(i)+2))
		p := &peer{c: c, rnd: rnd, visit: &visits[i], m: c.messageOf(requests[rnd.IntN(len(requests))])}
		p.choose()
		c.world.Go(fmt.Sprint("peer ", i), func() {
			defer func() { gone++ }()
			p.play()
		})
	}
	allGone := func() bool { return gone == n }
	if !c.world.WaitFor("the peers to leave", crowdTime, allGone) {
		c.t.Fatalf("servertest: after %v, %d of %d peers have not left%s", crowdTime, n-gone, n, c.atWork())
	}
	if !c.world.WaitFor("the server to be at rest", restTime, func() bool { return c.open() <= before }) {
		c.t.Errorf("servertest: %v after the last peer has left, the server has not let go of all connections%s", restTime, c.atWork())
	}
	return visits
}

const (
	crowdTime   = 12 * time.Hour
	restTime    = 30 * time.Minute
	sendPause   = 300 * time.Millisecond // short enough for Server.MinDataRate
	silenceTime = 20 * time.Minute       // longer than any time-out of a server with the default bounds
)

func (c *Client) messageOf(r Request) *message {
	c.t.Helper()
	m := newMessage(r.request, r.parts)
	if m.framing == awaitedBody {
		m.err = errors.New("a body of Upload is not for a Crowd")
	}
	if m.err != nil {
		c.t.Fatalf("servertest: %s: %v", r.request, m.err)
	}
	m.fields = append(m.fields, Field{"Connection", "close"})
	return m
}

// open returns how many connections the server has.
func (c *Client) open() int {
	n := 0
	for _, d := range c.world.Descriptors() {
		if strings.HasSuffix(d, "stream") {
			n++
		}
	}
	return n
}

// A peer is one of a crowd.
type peer struct {
	c     *Client
	rnd   *rand.Rand
	m     *message
	visit *Visit

	slow  bool // it sends in pieces, with pauses
	lazy  bool // it reads in pieces, with pauses
	leave leave
	at    departure
}

// leave is how a peer leaves.
type leave uint8

const (
	closes leave = iota
	resets
	fallsSilent
	leaves
)

var leaveWords = [leaves]string{"leaves", "resets the connection", "falls silent"}

// departure is when a peer leaves.
type departure uint8

const (
	atTheEnd departure = iota
	whileSending
	whileReading
	halfClosed // it stays, and has half-closed the connection
	departures
)

// choose draws the peer's manner.
func (p *peer) choose() {
	p.slow, p.lazy = p.rnd.IntN(2) == 0, p.rnd.IntN(2) == 0
	p.at = departure(p.rnd.IntN(int(departures)))
	p.leave = leave(p.rnd.IntN(int(leaves)))
	manner := "sends at once"
	if p.slow {
		manner = "sends slowly"
	}
	if p.lazy {
		manner += ", reads slowly"
	}
	switch p.at {
	case atTheEnd:
		manner += ", stays"
	case halfClosed:
		manner += ", half-closes and stays"
	case whileSending:
		manner += ", " + leaveWords[p.leave] + " in the middle of its request"
	case whileReading:
		manner += ", " + leaveWords[p.leave] + " before the end of its answer"
	}
	p.visit.Request = p.m.method + " " + p.m.target
	p.visit.Manner, p.visit.Stayed = manner, p.at == atTheEnd || p.at == halfClosed
}

// wire is the whole request.
func (p *peer) wire() string {
	m := *p.m
	m.expect = false // a peer that does not wait
	b := m.head()
	b = append(b, m.body...)
	for _, piece := range m.pieces {
		if piece != "" {
			b = append(b, chunk(piece)...)
		}
	}
	if m.framing == chunkedBody {
		b = append(b, "0\r\n\r\n"...)
	}
	return string(b)
}

func (p *peer) play() {
	raw, err := p.c.connect(netip.AddrPort{})
	if err != nil {
		p.visit.Err = err
		return
	}
	defer raw.Close()
	wire := p.wire()
	if p.at == whileSending {
		wire = wire[:p.rnd.IntN(len(wire))]
	}
	p.send(raw, wire)
	switch p.at {
	case whileSending:
		p.depart(raw)
		return
	case whileReading:
		b := make([]byte, 1+p.rnd.IntN(200))
		_ = raw.SetReadDeadline(p.c.world.Now().Add(time.Duration(p.rnd.Int64N(int64(time.Minute)))))
		_, _ = io.ReadFull(raw, b)
		p.depart(raw)
		return
	case halfClosed:
		_ = raw.CloseWrite() // if it fails, so does reading
	}
	p.read(raw)
}

// send sends the request, until the server does not take it.
func (p *peer) send(raw *sim.Conn, wire string) {
	for wire != "" {
		n := len(wire)
		if p.slow {
			n = 1 + p.rnd.IntN(min(n, 4<<10))
		}
		_ = raw.SetWriteDeadline(p.c.world.Now().Add(patience))
		if _, err := io.WriteString(raw, wire[:n]); err != nil {
			return
		}
		if wire = wire[n:]; p.slow {
			p.c.world.Sleep(time.Duration(p.rnd.Int64N(int64(sendPause))))
		}
	}
}

// depart leaves.
func (p *peer) depart(raw *sim.Conn) {
	switch p.leave {
	case resets:
		_ = raw.Abort()
	case fallsSilent:
		p.c.world.Sleep(silenceTime)
	}
}

// read reads the answer.
func (p *peer) read(raw *sim.Conn) {
	conn := &Conn{Conn: raw, c: p.c}
	x := &Exchange{c: p.c, conn: conn, m: p.m, sent: true}
	conn.r = bufio.NewReader(conn)
	if p.lazy {
		conn.r = bufio.NewReader(&lazyReader{p, conn})
	}
	for x.res == nil {
		x.readHead()
	}
	if p.visit.Err = x.res.err; p.visit.Err != nil {
		return
	}
	b, err := io.ReadAll(x.body)
	if p.visit.Err = err; err == nil {
		x.res.Body, x.res.Trailers, x.res.turns = b, x.body.trailers, len(conn.tape.turns)
		p.visit.Response = x.res
	}
}

// A lazyReader reads a little, and rests.
type lazyReader struct {
	p *peer
	r io.Reader
}

func (l *lazyReader) Read(b []byte) (int, error) {
	l.p.c.world.Sleep(time.Duration(l.p.rnd.Int64N(int64(100 * time.Millisecond))))
	return l.r.Read(b[:min(len(b), 1+l.p.rnd.IntN(4<<10))])
}

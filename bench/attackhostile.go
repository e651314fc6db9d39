package main

// A thousand hostile connections a second: what the storm of abuse.go does, and messages that are malformed, floods that
// nobody reads, and connections that say nothing. They come at a fixed rate, whether the server keeps up or not.

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// hostileStep is the pause between two bursts.
	hostileStep = 2 * time.Millisecond
	// maxHostile bounds the attackers at work at the same time; those beyond it are counted as not sent.
	maxHostile = 2048
	// hostilePatience is how long an attacker waits for an answer.
	hostilePatience = 2 * time.Second
	// floodRequests are sent in one go and their answers not read.
	floodRequests = 500
	// silence is how long a connection that says nothing is left open.
	silence      = time.Second
	maxHostility = 10 * time.Minute
)

const hostileHelp = `
A thousand hostile connections a second: resets at every point of a conversation, malformed messages, floods that nobody
reads, connections that say nothing. The mark: of 64 clients that keep their connection and 8 that open one for each
request, none loses one; otherwise the exit status is 1.`

func hostile(ctx context.Context, args []string, stdout io.Writer) error {
	p := attackPlan{}
	f := newFlags("hostile", hostileHelp, "microhttp", &p.options)
	rate := f.Int("rate", 1000, "hostile connections a second")
	f.IntVar(&p.regular, "good", 64, "clients that behave and keep their connection")
	f.IntVar(&p.passers, "passers", 8, "clients that behave and open one for each request")
	f.DurationVar(&p.every, "every", 20*time.Millisecond, "time between two requests of one of those; 0 is none")
	f.DurationVar(&p.alone, "alone", 10*time.Second, "how long they are measured alone")
	f.DurationVar(&p.lasts, "duration", time.Minute, "how long they are measured under attack")
	if err := p.parse(f, args); err != nil {
		return err
	}
	if *rate < 1 || *rate > 10_000 || p.lasts <= 0 || p.lasts > maxHostility || p.regular < 1 || p.passers < 0 {
		return fmt.Errorf("-rate must be 1 to 10000, -duration at most %v, -good at least 1", maxHostility)
	}
	if err := raiseDescriptorLimit(maxHostile + p.regular + p.passers + spareDescriptors); err != nil {
		return err
	}
	results, from, err := p.measure(ctx, func(ctx context.Context, addr string, risen func()) (map[string]int, error) {
		risen()
		return attackAt(ctx, addr, *rate), nil
	})
	if err != nil {
		return err
	}
	return p.report(stdout, from, fmt.Sprintf("%d hostile connections a second", *rate), results)
}

// hostileKinds are those of the storm that take no time of their own, and more.
var hostileKinds = slices.Concat(
	slices.DeleteFunc(slices.Clone(abuseKinds), func(k abuseKind) bool {
		return k.held || k.name == "a slow head" || k.name == "a pipeline that nobody reads"
	}),
	[]abuseKind{
		{"a flood that nobody reads", false, sending(strings.Repeat(request, floodRequests))},
		{"says nothing", false, func(net.Conn) { time.Sleep(silence) }},
		{"half-closes at once", false, func(c net.Conn) { c.(*net.TCPConn).CloseWrite(); drain(c) }},
		{"half-closes in a head", false, func(c net.Conn) { sending("GET / HT")(c); c.(*net.TCPConn).CloseWrite(); drain(c) }},
	},
	refusedKinds(),
)

// refusedKinds are malformed or too large. The answer is waited for: an error and the end.
func refusedKinds() []abuseKind {
	const host = "Host: bench.example\r\n"
	var all []abuseKind
	for name, text := range map[string]string{
		"no method":             " / HTTP/1.1\r\n" + host + "\r\n",
		"an endless method":     strings.Repeat("A", 64<<10),
		"an endless target":     "GET /" + strings.Repeat("a", 64<<10),
		"an endless field":      "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 64<<10),
		"too many fields":       "GET / HTTP/1.1\r\n" + host + strings.Repeat("X: y\r\n", 1000),
		"a NUL":                 "GET / HTTP/1.1\r\n" + host + "X: \x00\r\n\r\n",
		"a bare LF":             "GET / HTTP/1.1\n" + host + "\r\n",
		"two hosts":             "GET / HTTP/1.1\r\n" + host + host + "\r\n",
		"two framings":          "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + request,
		"a bad chunk":           "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + request,
		"endless extensions":    "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("a", 64<<10),
		"too long a body":       "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999\r\n\r\n",
		"an unknown version":    "GET / HTTP/3.0\r\n" + host + "\r\n",
		"bytes at random":       strings.Repeat("\x9a\x01\xff\x7f\r\n", 200),
		"blank lines, for ever": strings.Repeat("\r\n", 10_000),
	} {
		all = append(all, abuseKind{name, false, func(c net.Conn) { sending(text)(c); drain(c) }})
	}
	slices.SortFunc(all, func(a, b abuseKind) int { return strings.Compare(a.name, b.name) })
	return all
}

// drain reads until the server ends the connection.
func drain(c net.Conn) { io.Copy(io.Discard, c) }

// attackAt opens hostile connections at a rate until ctx is done, and returns what was done.
func attackAt(ctx context.Context, addr string, rate int) map[string]int {
	var (
		wg     sync.WaitGroup
		atWork atomic.Int64
		done   = make(map[string]int)
		failed atomic.Int64
	)
	begin := time.Now()
	for turn := 0; ctx.Err() == nil; {
		for due := int(time.Since(begin).Seconds() * float64(rate)); turn < due; turn++ {
			if atWork.Load() >= maxHostile {
				done["not sent, since too many were at work"]++
				continue
			}
			kind := hostileKinds[turn%len(hostileKinds)]
			done["connections"]++
			atWork.Add(1)
			wg.Go(func() {
				defer atWork.Add(-1)
				conn, err := net.DialTimeout("tcp4", addr, hostilePatience)
				if err != nil {
					failed.Add(1)
					return
				}
				conn.SetDeadline(time.Now().Add(hostilePatience))
				kind.do(conn)
				reset(conn)
			})
		}
		pause(ctx, hostileStep)
	}
	done[fmt.Sprintf("kinds of them, in %v", time.Since(begin).Round(time.Second))] = len(hostileKinds)
	wg.Wait()
	done["connections that failed"] = int(failed.Load())
	return done
}

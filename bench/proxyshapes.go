package main

// The shapes of request smuggling, one after the other over one upstream connection: a probe, the shape with an
// innocent request right behind it, and two probes on a new connection. Most shapes are ambiguous, and what a proxy
// makes of them is its own affair: it refuses them, mends them, or passes them on. Whatever it does, the laws of the
// court hold.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shapePatience is how long more is waited for when a shape has left somebody waiting.
	shapePatience = 700 * time.Millisecond
	// shapeAnswers bounds the answers that are read behind one shape.
	shapeAnswers = 8
)

// smuggle tries all shapes, spread over the lanes, and returns how many of them microhttp served, and behind how many of
// those the next client's request came over the very same connection.
func smuggle(ctx context.Context, c *court, lanes []string) (served, same int) {
	var p, s atomic.Int64
	var wg sync.WaitGroup
	for lane, addr := range lanes {
		wg.Go(func() {
			for i := lane; i < len(shapes) && ctx.Err() == nil; i += len(lanes) {
				a := attempt{court: c, addr: addr, shape: shapes[i], name: fmt.Sprintf("shape-%d", i)}
				a.run()
				remote, there := a.upstream(ctx)
				if there {
					p.Add(1)
					if _, now := c.witness.saw(a.name + "-probe2"); now == remote {
						s.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	return int(p.Load()), int(s.Load())
}

// An attempt is one shape on one lane.
type attempt struct {
	court *court
	addr  string
	shape shape
	name  string
}

func (a *attempt) run() {
	a.probe("-probe1")
	a.play()
	a.probe("-probe2", "-probe3")
}

// upstream returns the connection that the shape reached microhttp over, if it did.
func (a *attempt) upstream(ctx context.Context) (remote string, there bool) {
	deadline := time.Now().Add(testimonyPatience)
	for n := 0; n == 0; { // the log is in order, so when it tells of the probe behind, it has told of the shape
		if n, _ = a.court.witness.saw(a.name + "-probe3"); time.Now().After(deadline) || pause(ctx, time.Millisecond) != nil {
			break
		}
	}
	n, remote := a.court.witness.saw(a.name)
	return remote, n > 0
}

// probe makes requests on a connection of its own, each of which must get its own answer.
func (a *attempt) probe(suffixes ...string) {
	m := mixer{court: a.court, addr: a.addr, r: bufio.NewReader(nil)}
	defer m.hangUp()
	conn, err := net.DialTimeout("tcp4", a.addr, askTimeout)
	if err != nil {
		a.court.accuse("%s: %v", a.name, err)
		return
	}
	m.conn = conn
	m.r.Reset(conn)
	conn.SetDeadline(time.Now().Add(askTimeout))
	for _, suffix := range suffixes {
		name := a.name + suffix
		a.court.send(name, mustAnswer)
		q := named{name: name, method: "GET", head: innocent(name), status: 200, content: "id=" + name + "\n"}
		if err := m.play([]named{q}); err != nil {
			a.court.accuse("%q (%s): the probe %v", a.shape.about, a.name, err)
			return
		}
	}
}

func innocent(name string) string {
	return "GET /users/" + name + " HTTP/1.1\r\nHost: bench.example\r\nX-Request-Id: " + name + "\r\n\r\n"
}

// play sends the shape and reads what comes. The request behind it, if anybody sees it as one, ends the waiting.
func (a *attempt) play() {
	inner, behind := a.name+"-inner", a.name+"-behind"
	a.court.send(a.name, mayBe)
	a.court.send(behind, mayBe)
	a.court.send(inner, a.shape.inner)
	conn, err := net.DialTimeout("tcp4", a.addr, askTimeout)
	if err != nil {
		a.court.accuse("%s: %v", a.name, err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(shapePatience))
	text := a.shape.bytes(a.name, innocent(inner))
	io.WriteString(conn, text+innocent(behind))

	method, _, _ := strings.Cut(text, " ")
	order := []string{a.name, inner, behind}
	at := 0
	r := bufio.NewReader(conn)
	for range shapeAnswers {
		resp, err := readAnswer(r, method, nil)
		if err != nil {
			return // it has ended, or nothing more comes
		}
		content, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		name := resp.Header.Get("X-Request-Id")
		if name == "" || string(content) == body {
			continue // the proxy's own answer, or that to HTTP/0.9, which has no fields to be named by
		}
		for at < len(order) && order[at] != name {
			at++
		}
		if at == len(order) {
			a.court.accuse("%q (%s): got the answer to %q, out of order: %.80q", a.shape.about, a.name, name, content)
			return
		}
		if err != nil {
			return
		}
		if name != a.name && resp.StatusCode == 200 && !bytes.Equal(content, []byte("id="+name+"\n")) {
			a.court.accuse("%q (%s): the answer named %s is %.80q", a.shape.about, a.name, name, content)
		}
		a.court.answer(name)
		if name == behind {
			return
		}
		method = "GET" // whatever comes further is the inner request or the one behind
	}
}

package server

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestAppendEvent(t *testing.T) {
	for _, c := range []struct {
		ev   Event
		want string
	}{
		{Event{}, "\n"},
		{Event{Data: "a"}, "data: a\n\n"},
		{Event{Data: " a\n"}, "data:  a\ndata: \n\n"},
		{Event{Data: "a\nb\rc\r\nd\n\re"}, "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n"},
		{Event{Name: "ping"}, "event: ping\ndata: \n\n"},
		{Event{ID: "7", Name: "n", Data: "d", Retry: 1500 * time.Millisecond}, "id: 7\nevent: n\nretry: 1500\ndata: d\n\n"},
	} {
		b, err := appendEvent(nil, &c.ev)
		if err != nil {
			t.Error(err)
		}
		want(t, fmt.Sprintf("%+v", c.ev), string(b), c.want)
	}
	for _, bad := range []string{"a\n", "a\r", "a\x00"} {
		for _, ev := range []Event{{ID: bad}, {Name: bad}} {
			if _, err := appendEvent(nil, &ev); err != ErrEvent {
				t.Errorf("%+q: %v, want ErrEvent", ev, err)
			}
		}
	}
	want(t, "comment", string(appendComment(nil, "a\ndata: b")), ": a\n: data: b\n\n")
}

// Events are the same on the loop and from a Blocking handler.
func TestEvents(t *testing.T) {
	h := func(w *Response, r *Request) {
		e := w.Events()
		e.Comment("hi")
		e.Send(Event{ID: "2", Data: r.LastEventID()})
		e.Close()
	}
	for name, h := range map[string]Handler{"on the loop": HandlerFunc(h), "off the loop": BlockingFunc(h)} {
		_, addr := start(t, h.Serve)
		p := dial(t, addr)
		p.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 1\r\n\r\n")
		p.answer("HEAD")
		res, body := p.answer("GET")
		want(t, name, body, ": hi\n\nid: 2\ndata: 1\n\n")
		want(t, name, res.Header.Get("Content-Type")+" "+res.Header.Get("Cache-Control"), "text/event-stream no-store")
	}
}

// subscribe opens a subscription and reads its first event.
func subscribe(t *testing.T, p *peer) *bufio.Scanner {
	t.Helper()
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(res.Body)
	wantEvent(t, in, "welcome")
	return in
}

func wantEvent(t *testing.T, in *bufio.Scanner, data string) {
	t.Helper()
	if !in.Scan() || in.Text() != "data: "+data || !in.Scan() || in.Text() != "" {
		t.Fatalf("got %q, %v, want data: %s", in.Text(), in.Err(), data)
	}
}

func hubHandler(h *Hub) HandlerFunc {
	return func(w *Response, _ *Request) {
		e := w.Events()
		e.Send(Event{Data: "welcome"})
		h.Subscribe(e)
	}
}

// A Hub serves several loops without a goroutine for each subscriber; one that leaves is forgotten at once; a shutdown ends
// the others in order.
func TestHub(t *testing.T) {
	const n = 100
	var h Hub
	s, addr := start(t, hubHandler(&h), func(s *Server) { s.Loops = 2 })
	dial(t, addr).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") // so that the loops run
	await(t, "a subscriber", func() bool { return h.Subscribers() == 1 })
	goroutines := runtime.NumGoroutine()
	var peers []*peer
	var ins []*bufio.Scanner
	for range n {
		peers = append(peers, dial(t, addr))
		ins = append(ins, subscribe(t, peers[len(peers)-1]))
	}
	if more := runtime.NumGoroutine() - goroutines; more > 2 {
		t.Errorf("%d goroutines for %d subscribers", more, n)
	}
	for i := range 20 {
		if err := h.Publish(Event{Data: fmt.Sprint(i)}); err != nil {
			t.Error(err)
		}
	}
	for _, in := range ins {
		for i := range 20 {
			wantEvent(t, in, fmt.Sprint(i))
		}
	}
	peers[0].Close()
	await(t, "one to leave", func() bool { return h.Subscribers() == n })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if ins[1].Scan() || ins[1].Err() != nil {
		t.Errorf("after the shutdown: %q, %v", ins[1].Text(), ins[1].Err())
	}
	if h.Subscribers() != 0 || h.Dropped() != 0 {
		t.Errorf("%d subscribers, %d dropped", h.Subscribers(), h.Dropped())
	}
}

// One that reads nothing loses the oldest events, or is ended; one that reads loses none.
func TestHubSlow(t *testing.T) {
	for _, end := range []bool{false, true} {
		t.Run(fmt.Sprint("EndSlow ", end), func(t *testing.T) {
			h := Hub{EndSlow: end}
			_, addr := start(t, hubHandler(&h), func(s *Server) { s.SendTimeout = time.Hour })
			slow, quick := dial(t, addr), dial(t, addr)
			subscribe(t, slow)
			in := subscribe(t, quick)
			pad := strings.Repeat("x", 10_000)
			last := 0
			for ; h.Dropped() == 0 && h.EndedSlow() == 0; last++ {
				h.Publish(Event{Data: fmt.Sprint(last, pad)})
				wantEvent(t, in, fmt.Sprint(last, pad))
				if last > 10_000 {
					t.Fatal("100 MB queued for a peer that reads none")
				}
			}
			if end {
				await(t, "the slow one to leave", func() bool { return h.Subscribers() == 1 })
				if h.Dropped() != 0 || h.EndedSlow() != 1 {
					t.Errorf("%d dropped, %d ended", h.Dropped(), h.EndedSlow())
				}
			}
		})
	}
}

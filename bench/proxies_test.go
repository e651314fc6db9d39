package main

// The laws of the court, and that each is caught when it is broken.

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
)

func logLine(name, path string) string {
	return fmt.Sprintf(`{"level":"info","method":"GET","path":%q,"status":200,"remote":"127.0.0.1:1","request_id":%q,"message":"request"}`, path, name) + "\n"
}

func TestCourt(t *testing.T) {
	for about, c := range map[string]struct {
		log      string
		sent     map[string]fate
		answered []string
		broken   string // a part of the accusation
	}{
		"all is well": {
			logLine("a", "/") + logLine("b", "/"),
			map[string]fate{"a": mustAnswer, "b": mayBe, "c": mayBe, "d": mustNotBe, "e": mayVanish},
			[]string{"a", "b"},
			"",
		},
		"the client hung up":       {logLine("a", "/"), map[string]fate{"a": mayVanish}, nil, ""},
		"somebody else's question": {logLine("x", target), nil, nil, ""},
		"no answer":                {logLine("a", "/"), map[string]fate{"a": mustAnswer}, nil, "answered 0 times"},
		"answered by nobody":       {"", map[string]fate{"a": mustAnswer}, []string{"a"}, "never seen"},
		"answered twice":           {logLine("a", "/"), map[string]fate{"a": mustAnswer}, []string{"a", "a"}, "answered 2 times"},
		"never sent":               {logLine("x", "/evil"), nil, nil, "GET /evil (x, over 127.0.0.1:1) was seen and never sent"},
		"seen twice":               {logLine("a", "/") + logLine("a", "/"), map[string]fate{"a": mayBe}, []string{"a"}, "seen 2 times"},
		"content that was served":  {logLine("a", "/"), map[string]fate{"a": mustNotBe}, []string{"a"}, "is content"},
		"its answer went astray":   {logLine("a", "/"), map[string]fate{"a": mayBe}, nil, "its answer went elsewhere"},
		"its proxy broke it off": {
			strings.Replace(logLine("a", "/"), `"status"`, `"error":"reset","status"`, 1), map[string]fate{"a": mayBe}, nil, "",
		},
		"broken off though it is a request": {
			strings.Replace(logLine("a", "/"), `"status"`, `"error":"reset","status"`, 1), map[string]fate{"a": mustAnswer}, nil, "answered 0 times",
		},
		"lines are missing": {`{"message":"3 lines dropped"}` + "\n", nil, nil, "not whole"},
	} {
		w := newWitness()
		for i := range c.log { // in the smallest pieces
			w.Write([]byte(c.log[i : i+1]))
		}
		court := newCourt(w)
		for name, f := range c.sent {
			court.send(name, f)
		}
		for _, name := range c.answered {
			court.answer(name)
		}
		court.compare()
		if got := strings.Join(court.verdict(), "\n"); (got == "") != (c.broken == "") || !strings.Contains(got, c.broken) {
			t.Errorf("%s: the verdict is %q, want %q", about, got, c.broken)
		}
	}
}

// A front that gives each client the answer to the request before is found out.
func TestASwappedAnswerIsCaught(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := &http.Server{}
	previous := "nobody"
	front.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Request-Id")
		w.Header().Set("X-Request-Id", previous)
		previous = name
		fmt.Fprintf(w, "id=%s\n", strings.TrimPrefix(r.URL.Path, "/users/"))
	})
	go front.Serve(l)
	defer front.Close()
	court := newCourt(newWitness())
	m := mixer{court: court, addr: l.Addr().String(), who: "m-", rng: rand.New(rand.NewPCG(1, 1)), r: bufio.NewReader(nil)}
	if m.conn, err = net.Dial("tcp4", m.addr); err != nil {
		t.Fatal(err)
	}
	defer m.hangUp()
	m.r.Reset(m.conn)
	if err := m.play([]named{m.get("GET", "/users/")}); err == nil || !strings.Contains(err.Error(), `the answer to ["nobody"]`) {
		t.Errorf("got %v", err)
	}
}

// The mix is a mix of right requests: a server without a proxy answers each.
func TestMixIsAnswered(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	shop, err := openWorkshop(t.Context())
	if err != nil {
		t.Skip(err)
	}
	defer shop.remove()
	launch, err := buildMicrohttp(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	w := newWitness()
	up, err := startUpstream(t.Context(), launch, w)
	if err != nil {
		t.Fatal(err)
	}
	defer up.end()
	c := newCourt(w)
	mix(t.Context(), c, up.addr, 500, 4, 1)
	smuggle(t.Context(), c, []string{up.addr, up.addr})
	c.close(context.Background())
	for _, b := range c.verdict() {
		t.Error(b)
	}
	if n := c.sentCount(); n < 500 {
		t.Errorf("%d requests", n)
	}
}

func TestShapes(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range shapes {
		text := s.bytes("n", innocent("i"))
		if seen[text] {
			t.Errorf("twice: %q", text)
		}
		seen[text] = true
		if strings.ContainsAny(strings.ReplaceAll(text, `{"`, ""), "{}") {
			t.Errorf("a place that is not filled in: %q", text)
		}
		if s.inner == mustNotBe && !strings.Contains(text, innocent("i")) {
			t.Errorf("nothing is hidden in %q", text)
		}
	}
}

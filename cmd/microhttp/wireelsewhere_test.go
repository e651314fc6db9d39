package main

// The cases of testdata/wire that any server can be held to, whatever it serves: every answer that is awaited is a refusal,
// of what no version of a server may take. Here they show that the demo serves none of them; with -wire.addr they are sent to
// another server, and what it does is told:
//
//	go test ./cmd/microhttp -run TestWireRefused -v -wire.addr 127.0.0.1:8080
//
// That server should read a request's content before it answers, or it cannot know what is wrong with it; net/http in place of
// an address is one that does. docs/strictness.md has what some servers did.
//
// Another server may have its own word for a refusal, or none and just end the connection: both count. What does not is an
// answer from behind the parser, whether that is 200 or 404: the message was taken for a request.

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var wireAddr = flag.String("wire.addr", "", "send the cases of testdata/wire that are refused everywhere to this server, and tell what it does")

// The verdicts upon another server.
const (
	verdictRefused = "refused"          // and the connection ended
	verdictOpen    = "refused and open" // the next message on it might be the rest of this one
	verdictSilent  = "not answered"     // within patienceElsewhere
	verdictServed  = "served"
)

const (
	// leastRefused guards against a choice of cases that leaves none.
	leastRefused = 2000
	// patienceElsewhere is how long another server may take over a case. Those that wait for more wait for ever.
	patienceElsewhere = 2 * time.Second
	// clientsElsewhere play side by side, since silence takes its time.
	clientsElsewhere = 32
)

// refusals are the statuses of requests that are taken by nobody: 404 and 405 are not among them.
var refusals = []int{400, 408, 411, 413, 414, 417, 431, 501, 505}

// everywhere holds the statuses that do not depend on a server's limits, routes or methods.
var everywhere = []int{400, 417, 501, 505}

func TestWireRefused(t *testing.T) {
	t.Parallel()
	addr, elsewhere := *wireAddr, *wireAddr != ""
	switch addr {
	case "":
		addr = startDemo(t)
	case "net/http":
		s := httptest.NewServer(http.HandlerFunc(returnContent))
		defer s.Close()
		addr = s.Listener.Addr().String()
	}
	cases := slices.DeleteFunc(loadWireCases(t, wireFolder), func(c wireCase) bool { return !c.isRefusedEverywhere() })
	if len(cases) < leastRefused {
		t.Fatalf("%d messages, want at least %d", len(cases), leastRefused)
	}
	if got, err := judge(addr, []byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), false); got != verdictServed {
		t.Fatalf("a good request is %s by %s: %v", got, addr, err)
	}
	verdicts := make([]string, len(cases))
	var clients sync.WaitGroup
	for first := range clientsElsewhere {
		clients.Go(func() {
			for i := first; i < len(cases); i += clientsElsewhere {
				message, halfClose := cases[i].whole()
				verdict, err := judge(addr, message, halfClose)
				if err != nil {
					t.Errorf("%s: %v", cases[i].name, err)
				}
				verdicts[i] = verdict
			}
		})
	}
	clients.Wait()
	counts, titles := map[string]int{}, map[string]bool{}
	for i, c := range cases {
		counts[verdicts[i]]++
		titles[c.title] = titles[c.title] || verdicts[i] != verdictRefused
		switch {
		case verdicts[i] == verdictRefused:
		case elsewhere:
			t.Logf("%s: %s", verdicts[i], c.name)
		default:
			t.Errorf("%s: %s\n\tsent %s", verdicts[i], c.name, c.excerpt())
		}
	}
	whole := 0
	for _, failed := range titles {
		if !failed {
			whole++
		}
	}
	t.Logf("%s, of %d messages: %v; of %d cases, %d with every message refused", addr, len(cases), counts, len(titles), whole)
}

// returnContent answers with what came, as the demo does at its root.
func returnContent(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "bad content", http.StatusBadRequest)
		return
	}
	_, _ = w.Write(content) // fails only if the peer is gone
}

// isRefusedEverywhere reports whether a case asks for nothing but a refusal and the end.
func (c *wireCase) isRefusedEverywhere() bool {
	answers := 0
	for _, s := range c.stages {
		for _, w := range s.answers {
			answers++
			for _, status := range w.statuses {
				if !slices.Contains(everywhere, status) {
					return false
				}
			}
		}
	}
	return answers == 1 && !c.persists
}

// whole is all that the client of a case sends, and whether it ends its side then.
func (c *wireCase) whole() (message []byte, halfClose bool) {
	for _, s := range c.stages {
		message = append(message, s.message...)
		halfClose = s.halfClose
	}
	return message, halfClose
}

// judge sends a message and says what became of it. It reads answers as leniently as net/http does.
func judge(addr string, message []byte, halfClose bool) (verdict string, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patienceElsewhere))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := c.Write(message); err == nil && halfClose {
			_ = c.(*net.TCPConn).CloseWrite()
		}
	}()
	defer func() { <-sent }()
	request := &http.Request{Method: "GET"}
	if bytes.HasPrefix(message, []byte("HEAD ")) {
		request.Method = "HEAD"
	}
	verdict = verdictSilent
	for in := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(in, request)
		switch {
		case err == nil && slices.Contains(refusals, res.StatusCode):
			verdict = verdictOpen // unless it ends
			_, _ = io.Copy(io.Discard, res.Body)
		case err == nil:
			return verdictServed, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return verdict, nil
		case strings.Contains(err.Error(), "malformed") && verdict == verdictSilent: // content without a head, as HTTP/0.9 had it
			return verdictServed, nil
		case strings.Contains(err.Error(), "malformed"): // content where there is none, behind a refusal of HEAD
			if _, err := io.Copy(io.Discard, in); errors.Is(err, os.ErrDeadlineExceeded) {
				return verdict, nil
			}
			return verdictRefused, nil
		default:
			return verdictRefused, nil
		}
	}
}

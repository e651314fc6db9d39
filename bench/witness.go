package main

// Who saw what. The witness reads microhttp's access log: the name (X-Request-Id) of each request that it answered, and
// the upstream connection that it came over. The court has what clients sent and were answered, and compares.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// testimonyPatience is how long log lines may take that must come: the demo writes them in the background.
	testimonyPatience = 5 * time.Second
	// maxBroken bounds the broken laws that are told of one proxy.
	maxBroken = 20
)

// A sighting is one line of the access log.
type sighting struct {
	Message string `json:"message"`
	Name    string `json:"request_id"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Status  int    `json:"status"`
	Remote  string `json:"remote"`
	Error   string `json:"error"` // why the answer did not go out whole
}

// A witness is a writer for the log.
type witness struct {
	mu    sync.Mutex
	rest  []byte // of a line that is not whole yet
	seen  map[string][]sighting
	odd   []string // lines that say that lines are missing
	conns map[string]bool
}

func newWitness() *witness {
	return &witness{seen: make(map[string][]sighting), conns: make(map[string]bool)}
}

func (w *witness) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		w.take(line)
		w.rest = rest
	}
}

func (w *witness) take(line []byte) {
	var s sighting
	switch err := json.Unmarshal(line, &s); {
	case bytes.Contains(line, []byte("dropped")):
		w.odd = append(w.odd, string(line))
	case err != nil || s.Message != "request" || s.Path == target: // /plaintext is asked to see whether somebody is there
	default:
		w.seen[s.Name] = append(w.seen[s.Name], s)
		w.conns[s.Remote] = true
	}
}

// saw returns how often a name was seen, and the connection it came over last.
func (w *witness) saw(name string) (times int, remote string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.seen[name] {
		remote = s.Remote
	}
	return len(w.seen[name]), remote
}

func (w *witness) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}

// A request is named when it is sent. What may become of it:
type fate uint8

const (
	mustAnswer fate = iota // it is a request by anybody's reading
	mayVanish              // its client hung up: it may be seen, and nobody knows
	mayBe                  // whether it is a request is for the proxy to say; if it is one, it is answered
	mustNotBe              // it is content, whatever it looks like
)

// A court collects what happens to the requests of one run.
type court struct {
	witness *witness

	mu       sync.Mutex
	sent     map[string]fate
	answered map[string]int
	broken   []string
	breaches int
}

func newCourt(w *witness) *court {
	return &court{witness: w, sent: make(map[string]fate), answered: make(map[string]int)}
}

func (c *court) send(name string, f fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[name] = f
}

func (c *court) sentCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

func (c *court) answer(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered[name]++
}

// accuse reports a broken law.
func (c *court) accuse(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.breaches++; len(c.broken) < maxBroken {
		c.broken = append(c.broken, fmt.Sprintf(format, args...))
	}
}

// close waits until the witness has told of everything that was answered, then compares.
func (c *court) close(ctx context.Context) {
	c.mu.Lock()
	answered := make([]string, 0, len(c.answered))
	for name := range c.answered {
		answered = append(answered, name)
	}
	c.mu.Unlock()
	deadline := time.Now().Add(testimonyPatience)
	for _, name := range answered {
		for {
			if times, _ := c.witness.saw(name); times > 0 || time.Now().After(deadline) || pause(ctx, time.Millisecond) != nil {
				break
			}
		}
	}
	c.compare()
}

func (c *court) compare() {
	c.witness.mu.Lock()
	defer c.witness.mu.Unlock()
	for _, line := range c.witness.odd {
		c.accuse("the log is not whole: %s", line)
	}
	for name, all := range c.witness.seen {
		f, known := c.sent[name]
		s := all[0]
		switch {
		case !known:
			c.accuse("%s %s (%s, over %s) was seen and never sent", s.Method, s.Path, name, s.Remote)
		case len(all) > 1:
			c.accuse("%s %s was seen %d times", s.Method, name, len(all))
		case f == mustNotBe:
			c.accuse("%s %s (%s) is content and was seen as a request", s.Method, s.Path, name)
		case f != mayVanish && s.Error == "" && c.answered[name] == 0:
			c.accuse("%s %s (%s, over %s, answered %d) was seen, but its answer went elsewhere", s.Method, s.Path, name, s.Remote, s.Status)
		}
	}
	for name, f := range c.sent {
		if f == mustAnswer && c.answered[name] != 1 {
			c.accuse("%s was answered %d times", name, c.answered[name])
		}
	}
	for name := range c.answered {
		if len(c.witness.seen[name]) == 0 {
			c.accuse("%s was answered, but never seen", name)
		}
	}
}

// verdict returns the broken laws; beyond a bound only how many there are.
func (c *court) verdict() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if more := c.breaches - len(c.broken); more > 0 {
		return append(slices.Clone(c.broken), fmt.Sprintf("... and %d more", more))
	}
	return c.broken
}

package main

// A child process from its start to its end. Every child dies with the tool: on the ordinary path it is stopped and
// waited for, on an interrupt its context kills it, and if the tool itself is killed the kernel does (Pdeathsig).

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Second // from exec to the first good answer, on a busy machine
	stopGrace    = 3 * time.Second  // from SIGTERM to SIGKILL
	askTimeout   = 5 * time.Second  // for one answer; a healthy one takes a millisecond
	tailSize     = 4 << 10          // of a child's output, kept for error messages
)

// What every server is asked, and what it must answer.
const (
	target  = "/plaintext"
	request = "GET " + target + " HTTP/1.1\r\nHost: bench.example\r\n\r\n"
	body    = "Hello, World!"
)

// A process is a running child. One goroutine uses it.
type process struct {
	name   string
	cmd    *exec.Cmd
	pid    int
	output *tail
	ended  chan struct{} // closed once the child has been waited for
}

// spawn starts argv on a core (on any if cpu is negative) and returns at once.
func spawn(ctx context.Context, name string, cpu int, argv ...string) (*process, error) {
	return spawnTo(ctx, io.Discard, name, cpu, argv...)
}

// spawnTo is spawn for a child whose output somebody wants to read, all of it.
func spawnTo(ctx context.Context, reader io.Writer, name string, cpu int, argv ...string) (*process, error) {
	if cpu >= 0 {
		argv = append([]string{"taskset", "-c", strconv.Itoa(cpu)}, argv...)
	}
	p := &process{name: name, output: newTail(), ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	out := io.MultiWriter(p.output, reader)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop asks the child to end, kills it if it does not, and waits for it.
func (p *process) stop(sig syscall.Signal) {
	p.cmd.Process.Signal(sig)
	select {
	case <-p.ended:
	case <-time.After(stopGrace):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// saw waits until the child's output matches pattern, and returns the match.
func (p *process) saw(ctx context.Context, pattern *regexp.Regexp) (string, error) {
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	for {
		text, grown := p.output.read()
		if m := pattern.FindString(text); m != "" {
			return m, nil
		}
		select {
		case <-grown:
		case <-p.ended:
			return "", p.failed("it ended at once")
		case <-timeout.C:
			return "", p.failed("it did not print what was awaited")
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// failed is an error that carries the end of the child's output.
func (p *process) failed(what string) error {
	text, _ := p.output.read()
	return fmt.Errorf("%s: %s; its output ends:\n%s", p.name, what, text)
}

// A running is a process that answers at addr; answer is the size in bytes of what it answers.
type running struct {
	*process
	addr   string
	answer int
}

// addrPattern finds an address with a real port; the ":0" of an echoed command line is none.
var addrPattern = regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+:[1-9]\d*\b`)

// start starts a contestant on a core and returns once it has given a correct answer.
func (c contestant) start(ctx context.Context, cpu int) (*running, error) {
	command, err := c.launch()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	p, err := spawn(ctx, c.name, cpu, command.argv...)
	if err != nil {
		return nil, err
	}
	r := &running{process: p, addr: command.addr}
	check := c.ask
	if check == nil {
		check = ask
	}
	if err := r.awaitAnswer(ctx, check); err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

func (r *running) awaitAnswer(ctx context.Context, ask func(addr string) (int, error)) (err error) {
	if r.addr == "" {
		if r.addr, err = r.saw(ctx, addrPattern); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(startTimeout); ; {
		r.answer, err = ask(r.addr)
		if err == nil {
			return nil
		}
		refused := errors.Is(err, syscall.ECONNREFUSED)
		if !refused || time.Now().After(deadline) || !r.alive() {
			return r.failed(err.Error())
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func (r *running) end() { r.stop(syscall.SIGTERM) }

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// ask makes one request on a connection of its own and returns the size of the answer in bytes.
func ask(addr string) (int, error) {
	conn, err := net.DialTimeout("tcp4", addr, askTimeout)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	counted := &countingReader{r: conn}
	err = exchange(conn, bufio.NewReader(counted))
	return counted.n, err
}

// exchange makes one request on conn and checks the answer, which r reads.
func exchange(conn net.Conn, r *bufio.Reader) error {
	conn.SetDeadline(time.Now().Add(askTimeout))
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || string(got) != body {
		return fmt.Errorf("want 200 and %q, got %d and %q", body, resp.StatusCode, got)
	}
	return nil
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A tail keeps the last tailSize bytes written to it. It is safe for concurrent use.
type tail struct {
	mu    sync.Mutex
	buf   []byte
	grown chan struct{} // closed and replaced at each write
}

func newTail() *tail { return &tail{grown: make(chan struct{})} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = bytes.Clone(t.buf[extra:])
	}
	close(t.grown)
	t.grown = make(chan struct{})
	return len(p), nil
}

// read returns what is kept, and a channel that is closed when there is more.
func (t *tail) read() (string, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf), t.grown
}

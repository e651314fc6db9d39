//go:build unix

package main

// The program as an operator sees it: a process that says where it listens, and that ends
// as it should when it gets a signal.

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the demo in a process of its own.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	said *bufio.Reader // its standard error
	hear io.Closer     // which the test hears no more of when it is closed
	addr string
}

var banner = regexp.MustCompile(`^microhttp demo: listening on http://(127\.0\.0\.1:[1-9][0-9]*) \(([0-9]+) loops?\)\n$`)

func startProgram(t *testing.T, flags ...string) *program {
	t.Helper()
	p := startCommand(t, exec.CommandContext(t.Context(), os.Args[0], append([]string{"demo", "-addr", "127.0.0.1:0"}, flags...)...))
	line := p.line()
	m := banner.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("the first line is %q", line)
	}
	p.addr = m[1]
	return p
}

// startCommand starts cmd, which ends as the test binary, as the program.
func startCommand(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.WaitDelay = patience
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		stuck.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &program{t: t, cmd: cmd, said: bufio.NewReader(stderr), hear: stderr}
}

func (p *program) line() string {
	p.t.Helper()
	line, err := p.said.ReadString('\n')
	if err != nil {
		p.t.Fatalf("reading standard error: %q, %v", line, err)
	}
	return line
}

func (p *program) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the process to end and returns what it still said.
func (p *program) end() (state *os.ProcessState, said string) {
	p.t.Helper()
	rest, err := io.ReadAll(p.said)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // its error is the state
	return p.cmd.ProcessState, string(rest)
}

func TestASignalLetsAnswersEnd(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := startProgram(t, "-loops", "2")
		c := dial(t, p.addr)
		c.send("GET /events HTTP/1.1")
		res := c.head("GET")
		p.signal(sig)
		if body := c.rest(res); !strings.Contains(body, "event 10 of 10") {
			t.Errorf("%v: the answer ended with %q", sig, body)
		}
		state, said := p.end()
		if state.ExitCode() != exitOK {
			t.Errorf("%v: %v", sig, state)
		}
		if said != "microhttp demo: shutting down, for at most 10s\n" {
			t.Errorf("%v: said %q", sig, said)
		}
	}
}

// stuck starts an answer that cannot end, since its peer reads no more than the head.
func (p *program) stuck() {
	c := dial(p.t, p.addr)
	c.send("GET /bytes/67108864 HTTP/1.1")
	c.head("GET")
}

func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "-loops", "1", "-shutdown-timeout", "1ms")
	p.stuck()
	p.signal(syscall.SIGTERM)
	state, said := p.end()
	if state.ExitCode() != exitOK || !strings.Contains(said, "cut off") {
		t.Errorf("%v, said %q", state, said)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "-loops", "1", "-shutdown-timeout", "1h")
	p.stuck()
	p.signal(syscall.SIGTERM)
	if line := p.line(); !strings.Contains(line, "shutting down") {
		t.Fatalf("said %q", line)
	}
	p.signal(syscall.SIGINT)
	state, said := p.end()
	if state.ExitCode() != exitFailed || !strings.HasSuffix(said, "microhttp demo: ended at once: interrupt\n") {
		t.Errorf("%v, said %q", state, said)
	}
}

func TestAccessLogOfTheProgram(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "-access-log", "json")
	res, _ := dial(t, p.addr).ask("GET /users/42?q=x HTTP/1.1")
	id := res.Header.Get("X-Request-Id")
	if len(id) != 32 {
		t.Errorf("X-Request-Id %q", id)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(p.line()), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"level": "info", "method": "GET", "path": "/users/42", "pattern": "GET /users/{id}", "status": 200.0,
		"request_id": id,
	} {
		if line[key] != want {
			t.Errorf("logged %s: %v, want %v", key, line[key], want)
		}
	}
	if _, err := time.Parse(time.RFC3339, line["time"].(string)); err != nil {
		t.Error(err)
	}
}

// The formats that are no JSON go to the same log.
func TestAccessLogFormatsOfTheProgram(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"combined": `^127\.0\.0\.1 - - \[.*\] "GET /users/42 HTTP/1\.1" 200 \d+ "-" "-"$`,
		"text":     `^\d\d:\d\d:\d\d 200 GET /users/42 \d+ B [0-9.]+[mµ]?s 127\.0\.0\.1$`,
	} {
		p := startProgram(t, "-access-log", format)
		dial(t, p.addr).ask("GET /users/42?q=x HTTP/1.1")
		if line := p.line(); !regexp.MustCompile(want).MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("%s: %q", format, line)
		}
	}
}

// A log whose reader has gone costs its lines, and not the server.
func TestNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "-access-log", "json")
	if err := p.hear.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if res, body := dial(t, p.addr).ask("GET /plaintext HTTP/1.1"); res.StatusCode != 200 || body != "Hello, World!" {
			t.Errorf("status %d, %q", res.StatusCode, body)
		}
	}
	p.signal(syscall.SIGTERM) // and all lines are written before the end
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestNoAccessLogUnlessAsked(t *testing.T) {
	t.Parallel()
	p := startProgram(t)
	if res, _ := dial(t, p.addr).ask("GET / HTTP/1.1"); res.Header.Get("X-Request-Id") != "" {
		t.Error("an id was given")
	}
	p.signal(syscall.SIGTERM)
	if _, said := p.end(); strings.Contains(said, "{") {
		t.Errorf("logged %q", said)
	}
}

// overUnix asks for /plaintext over a Unix socket.
func overUnix(t *testing.T, path string) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(b), "\r\n\r\nHello, World!") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestOverAUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.sock")
	p := startCommand(t, exec.CommandContext(t.Context(), os.Args[0], "demo", "-loops", "2", "-addr", "unix:"+path, "-socket-mode", "0600"))
	if line, want := p.line(), "microhttp demo: listening on unix:"+path+" (2 loops)\n"; line != want {
		t.Errorf("said %q, want %q", line, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket's file: %v, %v", info, err)
	}
	overUnix(t, path)
	p.signal(syscall.SIGTERM)
	if state, _ := p.end(); state.ExitCode() != exitOK {
		t.Error(state)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket's file is left: %v", err)
	}
}

// The shell does what systemd does: it says how many sockets there are, and for whom.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.sock")
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" demo -addr systemd -loops 2`, os.Args[0])
	for _, l := range []interface{ File() (*os.File, error) }{tcp, local} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	p := startCommand(t, cmd)
	if line, want := p.line(), "microhttp demo: listening on http://"+tcp.Addr().String()+", unix:"+path+" (2 loops)\n"; line != want {
		t.Errorf("said %q, want %q", line, want)
	}
	overUnix(t, path)
	if _, body := dial(t, tcp.Addr().String()).ask("GET /plaintext HTTP/1.1"); body != "Hello, World!" {
		t.Errorf("over TCP: %q", body)
	}
	p.signal(syscall.SIGTERM)
	if state, _ := p.end(); state.ExitCode() != exitOK {
		t.Error(state)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket's file, which is not the program's, is gone: %v", err)
	}
}

// A log whose reader has stopped costs the lines of the log. It holds up neither requests nor the end.
func TestTheLogIsStuck(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "-access-log", "json", "-loops", "1")
	c := dial(t, p.addr)
	for range 2000 { // far more than the pipe takes
		if res, body := c.ask("GET /plaintext HTTP/1.1"); res.StatusCode != 200 || body != "Hello, World!" {
			t.Fatalf("status %d, %q", res.StatusCode, body)
		}
	}
	p.signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

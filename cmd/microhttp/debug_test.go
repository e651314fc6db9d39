package main

import (
	"net"
	"strings"
	"syscall"
	"testing"
)

// What is for operators is on a listener of its own, and there alone.
func TestDebugListener(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "-debug-addr", "127.0.0.1:0")
	operators := debugAddr(t, p)
	for path, want := range map[string]string{
		"/alive": "alive\n", "/ready": "ready\n", "/debug/pprof/": "goroutine", "/debug/pprof/cmdline": "-debug-addr",
		"/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/symbol": "num_symbols",
		"/metrics": "# TYPE microhttp_connections gauge",
	} {
		res, body := dial(t, operators).ask("GET " + path + " HTTP/1.1")
		if res.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200q", path, res.StatusCode, body)
		}
		if res, _ := dial(t, p.addr).ask("GET " + path + " HTTP/1.1"); res.StatusCode != 404 {
			t.Errorf("%s of the demo: %d", path, res.StatusCode)
		}
	}
	p.signal(syscall.SIGTERM)
	if state, said := p.end(); !state.Success() {
		t.Errorf("%v, said %q", state, said)
	}
	if c, err := net.Dial("tcp", operators); err == nil {
		c.Close()
		t.Error("the listener for operators is still there")
	}
}

// Without an address that can be bound nothing is served.
func TestDebugAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := startProgram(t, "-debug-addr", l.Addr().String())
	if state, said := p.end(); state.ExitCode() != exitFailed || !strings.Contains(said, "-debug-addr: ") || !strings.Contains(said, "in use") {
		t.Errorf("%v, said %q", state, said)
	}
}

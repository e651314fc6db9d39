package server

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestTextForPeople(t *testing.T) {
	zone := time.Local
	time.Local = time.UTC
	defer func() { time.Local = zone }()
	for line, text := range map[string]string{
		`{"level":"info","status":400,"method":"GET","path":"/a","byte":"0x00","pattern":"","remote":"192.0.2.1:1","conn":7,"time":"2026-11-30T12:34:56Z","message":"request refused: no Host field"}`: "12:34:56 INFO  request refused: no Host field  status=400 method=GET path=/a byte=0x00 remote=192.0.2.1:1 conn=7",
		`{"level":"warn","lasted":1234.5678,"route":"GET /slow","message":"a loop is held up"}`:                                                                                                        `WARN  a loop is held up  lasted=1.23s route="GET /slow"`,
		`{"level":"info","duration":0.0421,"bytes":1024,"message":"request"}`:                                                                                                                          `INFO  request  duration=42.1µs bytes=1024`,
		`{"level":"info","duration":"12ms","message":"request"}`:                                                                                                                                       `INFO  request  duration=12ms`,
		`{"level":"error","error":"no space left on device","message":"cannot write"}`:                                                                                                                 `ERROR cannot write: no space left on device`,
		`{"level":"error","panic":"boom","path":"/a","message":"panic in a handler"}`:                                                                                                                  `ERROR panic in a handler: boom  path=/a`,
		`{"level":"info","ok":true,"none":null,"list":[1,"a b"],"deep":{"a":"\u001b[2J"},"message":"m"}`:                                                                                               `INFO  m  ok=true none=null list=[1,"a b"] deep={"a":"\u001b[2J"}`,
		`{"level":"info","agent":"\u001b]0;title\u0007\u202e\ufffd","a=b":"c=d","q":"say \"x\"","message":"a\nb\u009b"}`:                                                                               `INFO  a\nb\u009b  agent="\x1b]0;title\a\u202e�" a=b="c=d" q="say \"x\""`,
		`{"message":"without a level"}`:  ` without a level`,
		"microhttp demo: listening":      "microhttp demo: listening",
		`{"level":"info","message":"cut`: `{"level":"info","message":"cut`,
		`[1,2]`:                          `[1,2]`,
		``:                               ``,
	} {
		want(t, line, string(appendText(nil, []byte(line+"\n"), stylePlain)), text+"\n")
	}
	colored := string(appendText(nil, []byte(`{"level":"warn","message":"m"}`+"\n"), styleColored))
	want(t, "in color", colored, "\x1b[33mWARN \x1b[0m m\n")
	two := appendText([]byte("before\n"), []byte("{\"level\":\"info\",\"message\":\"a\"}\nplain\n"), stylePlain)
	want(t, "two lines", string(two), "before\nINFO  a\nplain\n")
}

func TestDurationsForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 1234: "1.23µs", 102_345_678: "102ms", 59_999_999_999: "1m0s", -1234: "-1.23µs", 90 * time.Minute: "1h30m0s",
	} {
		if got := showDuration(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

// stackOf is the stack of a panic of a handler.
func stackOf(t *testing.T) (stack string) {
	p, _ := inMemory(t, func(w *Response, r *Request) {
		w.OnPanic(func(w *Response, r *Request, _ any, s []byte) {
			stack = string(s)
			w.Error(500)
		})
		panic(errors.New("boom"))
	})
	p.DataReceived([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	return stack
}

func TestStacksForPeople(t *testing.T) {
	const other = `goroutine 7 [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
microhttp/server.(*exchange).serve.func1()
	/src/server/exchange.go:143 +0x10c
panic({0x8ce200?, 0x3867e077aea0?})
	/usr/local/go/src/runtime/panic.go:860 +0x13a
main.(*store).find(...)
	/home/a/store.go:17
main.slow({0x1, 0x2}, 0xc000012345)
	/home/a/main.go:12 +0x39
microhttp/server.HandlerFunc.Serve(0x5dae13?)
	/src/server/server.go:34 +0x1c
microhttp/reactor.(*Reactor).Run(0x1)
	/src/reactor/reactor.go:198 +0x97
created by sync.(*WaitGroup).Go in goroutine 1
	/usr/local/go/src/sync/waitgroup.go:238 +0x73
`
	want(t, "a stack", string(appendStack(nil, other)), stackIndent+"main.(*store).find  /home/a/store.go:17\n"+
		stackIndent+"main.slow  /home/a/main.go:12\n"+stackIndent+"(and 3 of the server)\n")
	if got := string(appendStack(nil, strings.ReplaceAll(other, "main.", "microhttp/server."))); strings.Count(got, "\n") != 5 {
		t.Errorf("of a fault of the server: %s", got)
	}
	if got := string(appendStack(nil, string(debug.Stack()))); !strings.Contains(got, "TestStacksForPeople  /") {
		t.Errorf("of a test: %s", got)
	}
	if got := string(appendStack(nil, stackOf(t))); !regexp.MustCompile(`^ +microhttp/server\.stackOf\.func1  \S+logtext_test\.go:\d+\n`).MatchString(got) {
		t.Errorf("of a handler: %s", got)
	}
	for _, odd := range []string{"", "x", "\tx", "a(b", "\n\n", "goroutine 1", "\x1b[2J"} {
		if got := string(appendStack(nil, odd)); strings.Contains(got, "\x1b") {
			t.Errorf("%q: %q", odd, got)
		}
	}
	line := []byte(`{"level":"error","stack":"main.f()\n\t/a.go:1 +0x1\n","panic":"x","path":"/","message":"panic in a handler"}` + "\n")
	want(t, "a line", string(appendText(nil, line, stylePlain)), "ERROR panic in a handler: x  path=/\n"+stackIndent+"main.f  /a.go:1\n")
}

// Nothing but the level's color reaches a terminal as a command, whatever is logged.
func FuzzTextForPeople(f *testing.F) {
	f.Add("name", "value", "message", "stack")
	f.Add("\x1b[2J", "\x9b\u202e\x00", "a\r\nb", "main.f(\x07)\n\t\x1b")
	f.Fuzz(func(t *testing.T, name, value, message, stack string) {
		var line bytes.Buffer
		log := zerolog.New(&line)
		log.Info().Str(name, value).Str("error", value).Interface("any", []string{value}).Str("stack", stack).Msg(message)
		text := appendText(nil, line.Bytes(), stylePlain)
		for i, r := range string(text) {
			if r == '\n' && (i == len(text)-1 || strings.HasPrefix(string(text[i+1:]), stackIndent)) {
				continue
			}
			if r != ' ' && !strconv.IsPrint(r) {
				t.Fatalf("%q has %q at %d", text, r, i)
			}
		}
	})
}

func TestStyleOfFiles(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, f := range []*os.File{null, w} {
		if s := styleOf(f); s != styleNone {
			t.Errorf("%s: style %d", f.Name(), s)
		}
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal: ", err)
	}
	defer terminal.Close()
	for _, c := range []struct {
		noColor, term string
		want          textStyle
	}{{"", "xterm", styleColored}, {"1", "xterm", stylePlain}, {"", "dumb", stylePlain}} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		if s := styleOf(terminal); s != c.want {
			t.Errorf("%+v: style %d", c, s)
		}
	}
}

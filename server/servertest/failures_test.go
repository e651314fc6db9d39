package servertest_test

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"microhttp/reactor/sim"
	"microhttp/server"
	"microhttp/server/servertest"

	"github.com/rs/zerolog"
)

// A probe is a testing.TB that keeps what a test would print.
type probe struct {
	testing.TB
	said     strings.Builder
	failed   bool
	cleanups []func()
}

func (p *probe) Helper()          {}
func (p *probe) Failed() bool     { return p.failed }
func (p *probe) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

func (p *probe) Logf(format string, args ...any) { fmt.Fprintf(&p.said, format+"\n", args...) }

func (p *probe) Errorf(format string, args ...any) {
	p.failed = true
	p.Logf(format, args...)
}

func (p *probe) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	runtime.Goexit()
}

// failing runs f as a test and returns what it prints. It must fail.
func failing(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	p := &probe{TB: t}
	over := make(chan bool)
	go func() {
		defer close(over)
		defer func() {
			for _, f := range p.cleanups {
				f()
			}
		}()
		f(p)
	}()
	<-over
	if !p.failed {
		t.Errorf("it does not fail, and prints %q", p.said.String())
	}
	return p.said.String()
}

func wantParts(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s: %q lacks %q", what, got, part)
		}
	}
}

func TestFailuresShowTheConversation(t *testing.T) {
	h := server.HandlerFunc(hello)
	conversation := []string{"> GET /Ann HTTP/1.1\n> Host: example.com\n>\n< HTTP/1.1 200 OK\n", "<\n< Hello, Ann!\n"}
	for name, test := range map[string]struct {
		want func(r *servertest.Response)
		says string
	}{
		"Want":         {func(r *servertest.Response) { r.Want(404) }, "GET /Ann: status 200, want 404"},
		"WantText":     {func(r *servertest.Response) { r.WantText("x") }, `the content is`},
		"WantContains": {func(r *servertest.Response) { r.WantContains("x") }, `the content lacks "x"`},
		"WantHeader":   {func(r *servertest.Response) { r.WantHeader("A", "b") }, `A is "", want "b"`},
		"WantJSON":     {func(r *servertest.Response) { r.WantJSON(1) }, "the content is no JSON"},
		"JSON":         {func(r *servertest.Response) { r.JSON(new(int)) }, "the content is not the JSON of a *int"},
	} {
		said := failing(t, func(t testing.TB) { test.want(servertest.Get(t, h, "/Ann")) })
		wantParts(t, name, said, append(conversation, test.says)...)
	}
	said := failing(t, func(t testing.TB) {
		servertest.Do(t, server.HandlerFunc(echo), "POST /", servertest.JSON([]int{1})).WantJSON(`[1.0]`)
	})
	wantParts(t, "WantJSON", said, "[1], want", "[1.0]")
	servertest.Do(t, server.HandlerFunc(echo), "POST /", servertest.JSON(`{"half": `)).WantText(`{"half": `)
}

// A part that cannot be meant fails the test, and says what is wrong.
func TestPartsThatAreWrong(t *testing.T) {
	for says, part := range map[string]servertest.Part{
		`the field "b" of a form has no value`: servertest.Form("a", "1", "b"),
		`the field "c" of a form has no value`: servertest.Multipart(nil, "c"),
		`unsupported type: chan int`:           servertest.JSON(make(chan int)),
		`From("nowhere")`:                      servertest.From("nowhere"),
	} {
		said := failing(t, func(t testing.TB) { servertest.Do(t, server.HandlerFunc(echo), "POST /x", part) })
		wantParts(t, says, said, "servertest: POST /x: ", says)
	}
}

func TestAPanicFailsTheTest(t *testing.T) {
	h := server.HandlerFunc(func(*server.Response, *server.Request) { panic("a mistake") })
	said := failing(t, func(t testing.TB) { servertest.Get(t, h, "/") })
	wantParts(t, "without a Log", said, "panic in a handler: a mistake", "failures_test.go")
	for _, log := range []*server.Log{server.Zerolog(zerolog.Nop()), server.Slog(slog.New(slog.DiscardHandler))} {
		said = failing(t, func(t testing.TB) { servertest.Serve(t, &server.Server{Handler: h, Log: log}).Start("/") })
		wantParts(t, "with a Log", said, "panic in a handler")
	}
	if rest := servertest.New(t, h, servertest.MayPanic()).Start("/").Conn().Rest(); rest != "" {
		t.Errorf("after a panic %q", rest)
	}
}

func TestLateUseFailsTheTest(t *testing.T) {
	var kept *server.Request
	said := failing(t, func(t testing.TB) {
		c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) {
			if kept != nil {
				kept.Header("A")
			}
			kept = r
		}))
		c.Get("/")
		c.Get("/")
	})
	wantParts(t, "late use", said, "panic in a handler")
}

func TestWhatNeverComes(t *testing.T) {
	begun := time.Now()
	for name, test := range map[string]struct {
		f    func(t testing.TB)
		says string
	}{
		"an answer that is forgotten": {func(t testing.TB) {
			h := server.HandlerFunc(func(w *server.Response, r *server.Request) { w.Stream() })
			servertest.Get(t, h, "/")
		}, "GET /: nothing has come for 1h0m0s of virtual time"},
		"a cut answer": {func(t testing.TB) {
			h := server.HandlerFunc(func(w *server.Response, r *server.Request) {
				_, _ = w.Stream().Write([]byte("x"))
				panic(server.ErrAbortHandler)
			})
			servertest.Get(t, h, "/")
		}, "the connection has ended before the answer"},
		"an event at the end": {func(t testing.TB) {
			c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) { _ = w.Events().Close() }))
			c.Start("/").Event()
		}, "the answer ends where an event is awaited"},
		"another protocol": {func(t testing.TB) {
			servertest.New(t, server.HandlerFunc(hello)).Upgrade("/", "x")
		}, "status 200, want 101"},
		"a listener after the end": {func(t testing.TB) {
			c := servertest.New(t, server.HandlerFunc(hello))
			_ = c.Shutdown(time.Second)
			c.Get("/")
		}, "refused"},
		"silence that is none": {func(t testing.TB) {
			servertest.New(t, server.HandlerFunc(hello)).Start("/").WantSilence()
		}, "the server is not silent"},
		"a malformed part": {func(t testing.TB) {
			servertest.Get(t, server.HandlerFunc(hello), "/", servertest.From("nowhere"))
		}, "nowhere"},
		"too much": {func(t testing.TB) {
			servertest.New(t, server.HandlerFunc(hello)).Start("POST /", servertest.Upload(1)).Send("12")
		}, "more than the 1 bytes"},
		"an address that is none": {func(t testing.TB) {
			servertest.Serve(t, &server.Server{Addr: "nonsense"})
		}, "the server does not listen"},
	} {
		wantParts(t, name, failing(t, test.f), test.says)
	}
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("it took %v of real time", d)
	}
}

func TestCookies(t *testing.T) {
	h := server.HandlerFunc(func(w *server.Response, r *server.Request) {
		switch r.Path() {
		case "/in":
			w.SetCookie(&server.Cookie{Name: "id", Value: "7"})
		case "/out":
			w.SetCookie(&server.Cookie{Name: "id", MaxAge: -1})
		}
		id, _ := r.Cookie("id")
		w.Text(200, id)
	})
	c := servertest.New(t, h, servertest.Cookies())
	if id := c.Get("/in").WantText("").Cookie("id"); id != "7" {
		t.Errorf("the cookie is %q", id)
	}
	c.Get("/out").WantText("7")
	c.Get("/").WantText("")
	c = servertest.New(t, h)
	c.Get("/in")
	c.Get("/").WantText("")
}

func TestConversation(t *testing.T) {
	c := servertest.New(t, server.HandlerFunc(echo))
	c.Get("/before")
	res := c.Do("POST /", servertest.Body("a\n\x00\xffb"), servertest.Header("Content-Type", "text/x"))
	const want = `> POST / HTTP/1.1
> Host: example.com
> Content-Type: text/x
> Content-Length: 5
>
> a
> \x00\xffb
< HTTP/1.1 200 OK
< Date: Thu, 01 Jan 2026 00:00:00 GMT
< Content-Length: 5
< Content-Type: text/x
<
< a
< \x00\xffb
`
	if got := res.Conversation(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	conn := c.Dial()
	conn.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	conn.Answer("GET").Want(200)
	c.Advance(2 * time.Minute)
	if rest := conn.Rest(); rest != "" {
		t.Errorf("%q after the answer", rest)
	}
	wantParts(t, "conversation", conn.Conversation(), "= 2m0s later\n= the server ends\n")
}

func TestRawBytes(t *testing.T) {
	conn := servertest.New(t, server.HandlerFunc(hello)).Dial()
	conn.Send("GET /Ann HTTP/1.1\r\nHost: a\r\n\r\nGET /Bob HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
	conn.Answer("GET").Want(200).WantText("Hello, Ann!\n")
	conn.Answer("GET").Want(400)
	if rest := conn.Rest(); rest != "" {
		t.Errorf("%q after the refusal", rest)
	}
}

// A crowd of peers that are slow, leave or vanish costs nothing that stays.
func TestCrowd(t *testing.T) {
	open := 0
	routes := func() server.Handler {
		open = 0
		return server.AtHead(server.HandlerFunc(func(w *server.Response, r *server.Request) {
			open++
			w.OnDone(func(*server.Response, *server.Request) { open-- })
			r.ReadBody(1<<20, func(w *server.Response, r *server.Request) {
				w.Text(200, strings.Repeat(string(r.PeekBody()), 1+len(r.Path())*100))
			})
		}))
	}
	manners := map[string]bool{}
	servertest.Seeds(t, 10, routes, func(c *servertest.Client) {
		for _, v := range c.Crowd(20,
			servertest.NewRequest("GET /"+strings.Repeat("x", 100)),
			servertest.NewRequest("POST /", servertest.Body("body")),
			servertest.NewRequest("POST /", servertest.Chunks("bo", "dy"))) {
			manners[v.Manner] = true
			if v.Stayed && (v.Response == nil || v.Response.Status != 200) {
				t.Errorf("%s, which %s: %v, %v", v.Request, v.Manner, v.Response, v.Err)
			}
		}
		if open != 0 {
			t.Errorf("%d answers are not done", open)
		}
	})
	if len(manners) < 10 {
		t.Errorf("only %d manners", len(manners))
	}
}

func TestSeedsShowTheSeed(t *testing.T) {
	if os.Getenv(sim.SeedVariable) != "" {
		t.Skip("one seed is played alone")
	}
	played := 0
	said := failing(t, func(t testing.TB) {
		servertest.Seeds(t, 5, func() server.Handler { return server.HandlerFunc(hello) }, func(c *servertest.Client) {
			if played++; played == 3 {
				c.Get("/").Want(404)
			}
		})
	})
	wantParts(t, "seed", said, "the network's seed was 3")
	if played != 3 {
		t.Errorf("%d worlds were played", played)
	}
}

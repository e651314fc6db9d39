package tracing_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/middleware/tracing"
	"microhttp/router"
	"microhttp/server"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// rig is a server whose spans are kept.
type rig struct {
	addr   string
	spans  *tracetest.InMemoryExporter
	tracer trace.Tracer
}

// start serves what routes registers, with tracing around it, and ends it with the test.
func start(t testing.TB, c tracing.Config, register func(routes *router.Router, tracer trace.Tracer)) *rig {
	t.Helper()
	rig := &rig{spans: tracetest.NewInMemoryExporter()}
	provider := sdk.NewTracerProvider(sdk.WithSyncer(rig.spans))
	c.Provider, rig.tracer = provider, provider.Tracer("test")
	routes := router.New()
	register(routes, rig.tracer)
	silent := server.Zerolog(zerolog.Nop())
	s := &server.Server{
		Addr: "127.0.0.1:0", Loops: 1, Log: silent, Handler: tracing.New(c)(middleware.Recover(silent)(routes)),
	}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	rig.addr = addr.String()
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-ended
		_ = provider.Shutdown(ctx)
	})
	return rig
}

// ask sends one request on a connection of its own and returns the content of the answer.
func (r *rig) ask(t testing.TB, lines ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// get asks for a target, with fields.
func (r *rig) get(t testing.TB, target string, fields ...string) string {
	t.Helper()
	return r.ask(t, append(append([]string{"GET " + target + " HTTP/1.1", "Host: a.example:8080"}, fields...), "", "")...)
}

// ended waits until so many spans have ended, returns them in that order, and forgets them.
func (r *rig) ended(t testing.TB, n int) tracetest.SpanStubs {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); len(r.spans.GetSpans()) < n; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d spans, want %d: %v", len(r.spans.GetSpans()), n, r.spans.GetSpans())
		}
	}
	got := r.spans.GetSpans()
	r.spans.Reset()
	if len(got) != n {
		t.Fatalf("%d spans, want %d: %v", len(got), n, got)
	}
	return got
}

// attributes are those of a span, as text.
func attributes(s tracetest.SpanStub) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// Every kind of answer has one span, which ends with the answer; what handlers start is its child.
func TestEveryKindOfAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	rig := start(t, tracing.Config{}, func(routes *router.Router, tracer trace.Tracer) {
		handle := func(pattern string, wrap func(server.Handler) server.Handler, f func(w *server.Response)) {
			routes.Handle(pattern, wrap(server.HandlerFunc(func(w *server.Response, r *server.Request) {
				_, span := tracer.Start(r.Context(), "child")
				defer span.End()
				f(w)
			})))
		}
		as := func(h server.Handler) server.Handler { return h }
		stream := func(w *server.Response) {
			s := w.Stream()
			_, _ = s.WriteString("con")
			_, _ = s.WriteString("tent")
			_ = s.Close()
		}
		handle("/inline/{id}", as, func(w *server.Response) { w.WriteString("content") })
		handle("/late/{id}", as, func(w *server.Response) {
			p := w.Later()
			go func() { _ = p.Answer(func(w *server.Response) { w.WriteString("content") }) }()
		})
		handle("/stream/{id}", as, stream)
		handle("/blocking/{id}", server.Blocking, func(w *server.Response) { w.WriteString("content") })
		handle("/blockstream/{id}", server.Blocking, stream)
		handle("/file/{id}", as, func(w *server.Response) { w.SendFile(file, 0, 7) })
		handle("/broken/{id}", as, func(w *server.Response) { w.Error(503) })
		handle("/panic/{id}", as, func(*server.Response) { panic("on purpose") })
		handle("/abort/{id}", as, func(*server.Response) { panic(server.ErrAbortHandler) })
		handle("/hijack/{id}", server.Blocking, func(w *server.Response) {
			c, _, err := w.Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent")
			_ = c.Close()
		})
	})
	for _, c := range []struct {
		route, status, failure, size string
		code                         codes.Code
	}{
		{"/inline/{id}", "200", "", "7", codes.Unset},
		{"/late/{id}", "200", "", "7", codes.Unset},
		{"/stream/{id}", "200", "", "7", codes.Unset},
		{"/blocking/{id}", "200", "", "7", codes.Unset},
		{"/blockstream/{id}", "200", "", "7", codes.Unset},
		{"/file/{id}", "200", "", "7", codes.Unset},
		{"/broken/{id}", "503", "503", "20", codes.Error},
		{"/panic/{id}", "500", "500", "22", codes.Error},
		{"/abort/{id}", "200", "abort-handler", "0", codes.Error},
		{"/hijack/{id}", "", "", "", codes.Unset},
	} {
		rig.ask(t, "POST "+strings.Replace(c.route, "{id}", "7", 1)+" HTTP/1.1", "Host: a", "Content-Length: 5", "", "hello")
		child, span := byName(t, rig.ended(t, 2))
		if span.Name != "POST "+c.route || child.Parent.SpanID() != span.SpanContext.SpanID() || span.SpanKind != trace.SpanKindServer {
			t.Errorf("%s: %q, a child of %v in %v", c.route, span.Name, child.Parent, span.SpanContext)
		}
		if span.Status.Code != c.code || span.EndTime.Before(span.StartTime) {
			t.Errorf("%s: %v, from %v to %v", c.route, span.Status, span.StartTime, span.EndTime)
		}
		got := attributes(span)
		if got["http.route"] != c.route || got["error.type"] != c.failure {
			t.Errorf("%s: %v", c.route, got)
		}
		if c.status != "" && (got["http.response.status_code"] != c.status || got["http.response.body.size"] != c.size ||
			got["http.request.body.size"] != "5") {
			t.Errorf("%s: %v", c.route, got)
		}
	}
}

// byName tells a child from the span of the request.
func byName(t *testing.T, spans tracetest.SpanStubs) (child, span tracetest.SpanStub) {
	t.Helper()
	if spans[0].Name != "child" {
		spans[0], spans[1] = spans[1], spans[0]
	}
	return spans[0], spans[1]
}

// The attributes of a request are those of the conventions, and no secret is among them.
func TestAttributes(t *testing.T) {
	nothing := func(routes *router.Router, _ trace.Tracer) {
		routes.HandleFunc("GET a.example/users/{id}", func(*server.Response, *server.Request) {})
	}
	rig := start(t, tracing.Config{}, nothing)
	rig.get(t, "/users/7?token=secret", "User-Agent: test/1", "Authorization: secret", "Cookie: secret")
	span := rig.ended(t, 1)[0]
	got := attributes(span)
	if port := got["network.peer.port"]; port == "" || port == "0" {
		t.Errorf("the peer's port is %q", port)
	}
	delete(got, "network.peer.port")
	want := map[string]string{
		"http.request.method": "GET", "url.scheme": "http", "url.path": "/users/7", "network.protocol.version": "1.1",
		"user_agent.original": "test/1", "network.peer.address": "127.0.0.1", "client.address": "127.0.0.1",
		"server.address": "a.example", "server.port": "8080", "http.route": "/users/{id}",
		"http.response.status_code": "200", "http.request.body.size": "0", "http.response.body.size": "0",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
	if span.Name != "GET /users/{id}" {
		t.Error(span.Name)
	}

	rig = start(t, tracing.Config{Query: true}, nothing)
	rig.get(t, "/nothing/here?a=1")
	span = rig.ended(t, 1)[0]
	if got = attributes(span); span.Name != "GET" || got["url.query"] != "a=1" || got["http.route"] != "" || span.Status.Code != codes.Unset {
		t.Errorf("%s %v %v", span.Name, got, span.Status)
	}
	rig.ask(t, "BREW /"+strings.Repeat("x", 3000)+" HTTP/1.1", "Host: [::1]", "", "")
	span = rig.ended(t, 1)[0]
	got = attributes(span)
	if span.Name != "HTTP" || got["http.request.method"] != "_OTHER" || got["http.request.method_original"] != "BREW" ||
		got["server.address"] != "::1" || len(got["url.path"]) != 1024 {
		t.Errorf("%s %v", span.Name, got)
	}
}

const (
	theirTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirSpan  = "00f067aa0ba902b7"
	parent     = "traceparent: 00-" + theirTrace + "-" + theirSpan + "-01"
)

// W3C Trace Context: the peer's span is the parent, unless its fields are invalid, or the server is public.
func TestPropagation(t *testing.T) {
	seen := make(chan string, 1)
	register := func(routes *router.Router, _ trace.Tracer) {
		routes.HandleFunc("/", func(_ *server.Response, r *server.Request) {
			sc := trace.SpanContextFromContext(r.Context())
			seen <- sc.TraceState().String() + " " + baggage.FromContext(r.Context()).Member("user").Value()
		})
	}
	for name, c := range map[string]struct {
		public bool
		fields []string
		child  bool
		seen   string
	}{
		"a parent":            {fields: []string{parent}, child: true, seen: " "},
		"with state":          {fields: []string{parent, "Tracestate: a=1", "tracestate: b=2"}, child: true, seen: "a=1,b=2 "},
		"with baggage":        {fields: []string{parent, "baggage: user=ann"}, child: true, seen: " ann"},
		"none":                {seen: " "},
		"two parents":         {fields: []string{parent, parent}, seen: " "},
		"upper case":          {fields: []string{strings.ToUpper(parent)}, seen: " "},
		"zeros":               {fields: []string{strings.Replace(parent, theirSpan, strings.Repeat("0", 16), 1)}, seen: " "},
		"too short":           {fields: []string{parent[:40]}, seen: " "},
		"a stranger's parent": {public: true, fields: []string{parent, "baggage: user=ann"}, seen: " "},
	} {
		rig := start(t, tracing.Config{Public: c.public}, register)
		rig.get(t, "/", c.fields...)
		span := rig.ended(t, 1)[0]
		child := span.Parent.SpanID().String() == theirSpan && span.SpanContext.TraceID().String() == theirTrace && span.Parent.IsRemote()
		if got := <-seen; child != c.child || got != c.seen {
			t.Errorf("%s: a child is %t, handlers saw %q", name, child, got)
		}
		if !c.child && (span.Parent.IsValid() || span.SpanContext.TraceID().String() == theirTrace) {
			t.Errorf("%s: the parent is %v", name, span.Parent)
		}
		if linked := len(span.Links) == 1 && span.Links[0].SpanContext.TraceID().String() == theirTrace; linked != c.public {
			t.Errorf("%s: links are %v", name, span.Links)
		}
	}
}

// A span ends when its answer does, not before, and also when the peer leaves.
func TestEndsWithTheAnswer(t *testing.T) {
	begun, release := make(chan struct{}, 1), make(chan struct{}, 1)
	rig := start(t, tracing.Config{Skip: func(r *server.Request) bool { return r.Path() == "/health" }},
		func(routes *router.Router, _ trace.Tracer) {
			routes.HandleFunc("/health", func(*server.Response, *server.Request) {})
			routes.Handle("/wait", server.BlockingFunc(func(w *server.Response, r *server.Request) {
				s := w.Stream()
				_, _ = s.WriteString("begun")
				_ = s.Flush()
				begun <- struct{}{}
				select {
				case <-release:
				case <-r.Context().Done(): // the peer has left
				}
				_ = s.Close()
			}))
		})
	rig.get(t, "/health")
	for _, leaves := range []bool{false, true} {
		c, err := net.Dial("tcp", rig.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
		<-begun
		if n := len(rig.spans.GetSpans()); n != 0 {
			t.Errorf("%d spans ended before their answer", n)
		}
		if leaves {
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		} else {
			release <- struct{}{}
		}
		span := rig.ended(t, 1)[0]
		got := attributes(span)["error.type"]
		if lost := got == "peer-reset" || got == "peer-closed"; lost != leaves || (span.Status.Code == codes.Error) != leaves {
			t.Errorf("the peer leaves: %t; %v, %q", leaves, span.Status, got)
		}
		c.Close()
	}
}

// Spans that no one records cost little, and do not keep a request from its handler.
func TestNoProvider(t *testing.T) {
	silent := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Log: silent, Handler: tracing.New(tracing.Config{})(
		server.HandlerFunc(func(w *server.Response, r *server.Request) {
			fmt.Fprint(w, trace.SpanContextFromContext(r.Context()).TraceID()) // what the peer sent goes through
		}))}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	r := &rig{addr: addr.String()}
	if got := r.get(t, "/", parent); got != theirTrace {
		t.Error(got)
	}
	_ = s.Close()
	<-ended
}

package nethttp_test

// The same handlers behind net/http's server and behind ours, asked with the same bytes on sockets: what the client
// sees must be the same, but for what differences lists.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/nethttp"

	"github.com/rs/zerolog"
)

// sight is what a client sees of an answer.
type sight struct {
	interim string // the responses before it
	status  int
	fields  http.Header // without Date, and without Connection, which close shows
	length  int64
	framing string // Transfer-Encoding
	close   bool
	body    string
	trailer http.Header
	broken  bool // the answer is not complete; the rest is as far as it went
}

func (s *sight) String() string {
	if s.broken && s.status == 0 {
		return "broken off"
	}
	body := fmt.Sprintf("%q", s.body)
	if len(s.body) > 300 {
		h := fnv.New64a()
		io.WriteString(h, s.body)
		body = fmt.Sprintf("%d bytes %x, %.30q…", len(s.body), h.Sum64(), s.body)
	}
	return fmt.Sprintf("%s%d %s length %d %q close %t trailer %s broken off %t\n\t%s",
		s.interim, s.status, spell(s.fields), s.length, s.framing, s.close, spell(s.trailer), s.broken, body)
}

// spell spells fields in order.
func spell(h http.Header) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(&b, "%s%q ", k, h[k])
	}
	return "[" + strings.TrimSpace(b.String()) + "]"
}

// look sends a request to addr and reads the answer.
func look(t *testing.T, addr, request string) *sight {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	in, s := bufio.NewReader(c), new(sight)
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return &sight{broken: true}
		}
		res.Header.Del("Date")
		res.Header.Del("Connection")
		if res.StatusCode < 200 {
			s.interim += fmt.Sprintf("%d %s ", res.StatusCode, spell(res.Header))
			continue
		}
		body, err := io.ReadAll(res.Body)
		s.status, s.fields, s.length, s.framing = res.StatusCode, res.Header, res.ContentLength, strings.Join(res.TransferEncoding, ",")
		s.close, s.body, s.trailer, s.broken = res.Close, string(body), res.Trailer, err != nil
		return s
	}
}

// differences are those from net/http, each with how a sight of net/http's becomes one of ours.
var differences = []struct {
	why   string
	apply func(request string, s *sight)
}{
	{
		"who sends the body along is not told to go on (RFC 9110, 10.1.1)",
		func(_ string, s *sight) { s.interim = strings.TrimPrefix(s.interim, "100 [] ") },
	},
	{
		"an answer to HEAD whose length nobody knows says how that to GET would be framed (RFC 9112, 6.1)",
		func(request string, s *sight) {
			if strings.HasPrefix(request, "HEAD") && strings.Contains(request, "HTTP/1.1") && s.length < 0 && s.status != 304 {
				s.framing = "chunked"
			}
		},
	},
	{
		"Transfer-Encoding is the server's own: net/http lets a handler choose the end of the connection instead",
		func(request string, s *sight) {
			if strings.Contains(request, "/identity HTTP/1.1") {
				s.framing, s.close = "chunked", false
			}
		},
	},
	{
		"a body that nobody asked for, and whose length is not known, is not read to its end",
		func(request string, s *sight) {
			if strings.Contains(request, "/unread") && strings.Contains(request, "chunked") {
				s.close = true
			}
		},
	},
	{
		"205 has no content (RFC 9110, 15.3.6)",
		func(request string, s *sight) {
			if s.status == 205 {
				s.body, s.length = "", 0
				s.fields.Set("Content-Length", "0")
			}
		},
	},
	{
		"HTTP/1.0 knows no interim responses (RFC 9110, 15.2)",
		func(request string, s *sight) {
			if strings.Contains(request, "HTTP/1.0") {
				s.interim = ""
			}
		},
	},
}

// notByTo are the requests that are not asked of To(From(h)), by what they hold.
var notByTo = []struct{ why, part string }{
	{"To asks for the path of the URL, and for no absolute form", " http://"},
	{"To passes on no Connection", "Connection: "},
	{"To passes on no Content-Length of nothing", "Content-Length: 0"},
	{"To passes on no Trailer", "Trailer: "},
	{"it would log to standard error", "/twice "},
	{"it would log to standard error", "/length/invalid "},
	{"it would log to standard error", "/fields/invalid "},
}

func isAskedOfTo(request string) bool {
	for _, n := range notByTo {
		if strings.Contains(request, n.part) {
			return false
		}
	}
	return true
}

// silently has panics logged nowhere.
func silently(h server.Handler) server.Handler {
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnPanic(func(*server.Response, *server.Request, any, []byte) { panic(server.ErrAbortHandler) })
		next.Serve(w, r)
	})(h)
}

// serve serves h with a server of ours until the test ends, and returns where.
func serve(t *testing.T, h server.Handler, options ...func(*server.Server)) string {
	t.Helper()
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h, Log: nop}
	for _, o := range options {
		o(s)
	}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		<-ended
	})
	return addr.String()
}

// serveHTTP serves h with net/http's server until the test ends, and returns where.
func serveHTTP(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestFromAgreesWithNetHTTP holds that From is as net/http's server, and that To undoes it.
func TestFromAgreesWithNetHTTP(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			leavesNothing(t)
			h := row.handler(t)
			from := nethttp.From(h)
			theirs, ours, back := serveHTTP(t, h), serve(t, from), serveHTTP(t, nethttp.To(silently(from)))
			for _, request := range row.requests {
				request = strings.ReplaceAll(request, "\n", "\r\n")
				want, got := look(t, theirs, request), look(t, ours, request)
				if row.breaks != want.broken {
					t.Errorf("%q: net/http gives %s", request, want)
				}
				for _, d := range differences {
					d.apply(request, want)
				}
				if got.String() != want.String() {
					t.Errorf("%.200q\ngot  %s\nwant %s", request, got, want)
				}
				if !isAskedOfTo(request) {
					continue
				}
				undone := look(t, back, request)
				want.interim, undone.interim = "", "" // 100 is net/http's, others are left out
				if strings.HasPrefix(request, "HEAD") && undone.framing == "" {
					want.framing = "" // of a HEAD it is net/http's as well
				}
				if undone.String() != want.String() {
					t.Errorf("To(From): %.200q\ngot  %s\nwant %s", request, undone, want)
				}
			}
		})
	}
}

// asks makes requests without a body of a method and of targets.
func asks(method string, targets ...string) (requests []string) {
	for _, target := range targets {
		requests = append(requests, method+" "+target+" HTTP/1.1\nHost: a\nTE: trailers\n\n")
	}
	return requests
}

// with adds field lines to requests.
func with(fields string, requests ...string) (changed []string) {
	for _, r := range requests {
		changed = append(changed, strings.Replace(r, "\n", "\n"+fields+"\n", 1))
	}
	return changed
}

// old makes them requests of HTTP/1.0.
func old(requests ...string) (changed []string) {
	for _, r := range requests {
		changed = append(changed, strings.Replace(r, "HTTP/1.1", "HTTP/1.0", 1))
	}
	return changed
}

// describeRequest answers with all that a request holds.
func describeRequest(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	_, served := r.Context().Value(http.ServerContextKey).(*http.Server)
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	fmt.Fprintf(w, "%s %#v %q %s %d.%d\n%s\n%q %d %v %t %s %q %v\n%s %v %q %q %t", r.Method, *r.URL, r.RequestURI, r.Proto,
		r.ProtoMajor, r.ProtoMinor, spell(r.Header), r.Host, r.ContentLength, r.TransferEncoding, r.Close, spell(r.Trailer),
		body, err, host, local != nil && local.IP.IsLoopback() && local.Port > 0, r.Pattern, r.PathValue("id"), served)
	n, err := r.Body.Read(make([]byte, 1))
	fmt.Fprintln(w, n, err, r.Body == http.NoBody, r.Body.Close())
	_, err = io.ReadAll(r.Body)
	fmt.Fprintln(w, err)
}

// sized writes as many bytes as the query says, in pieces.
func sized(w http.ResponseWriter, r *http.Request) {
	for size := range strings.SplitSeq(r.URL.RawQuery, ",") {
		var n int
		fmt.Sscan(size, &n)
		w.Write(bytes.Repeat([]byte("x"), n))
	}
}

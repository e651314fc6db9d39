package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// ServeContent and http.ServeContent get the same questions, by the hundreds, and give the same answers. Where they do not,
// otherwise says why.

var otherwise = []struct {
	why  string
	asks func(q question) bool
}{
	{"RFC 9110, 14.2: ranges are for GET", func(q question) bool { return q.method != "GET" && q.fields["Range"] != "" }},
	{"RFC 9110, 14.2: an unknown unit is ignored", func(q question) bool { return strings.HasPrefix(q.fields["Range"], "lines=") }},
	{"RFC 9110, 14.1: units are case-insensitive", func(q question) bool { return strings.HasPrefix(q.fields["Range"], "Bytes=") }},
	{"RFC 9110, 14.1.2: no range has no bytes, so empty content has none", func(q question) bool {
		return strings.Contains(q.fields["Range"], "=-0") || q.size == 0 && strings.Contains(q.fields["Range"], "-")
	}},
	{"RFC 9110, 14.1.1: positions are digits, however many", func(q question) bool {
		return strings.Contains(q.fields["Range"], "+") || strings.Contains(q.fields["Range"], "99999999999999999999")
	}},
	{"RFC 9110, 14.1.1: a last position before the first is an error, also beyond the end", func(q question) bool {
		return strings.Contains(q.fields["Range"], "900-800") || q.size <= 5 && strings.Contains(q.fields["Range"], "5-2")
	}},
}

type question struct {
	method, name, etag string
	kind               int // what holds the content
	size               int
	dated              bool
	fields             map[string]string
}

var asciiOf = strings.Repeat("0123456789abcdefghij", 5)

func (q question) content() string { return asciiOf[:q.size] }

var changed = time.Date(2024, 5, 6, 7, 8, 9, 500, time.UTC)

func pick[T any](rnd *rand.Rand, of ...T) T { return of[rnd.IntN(len(of))] }

func newQuestion(rnd *rand.Rand) question {
	same, before, after := changed.Format(http.TimeFormat), changed.Add(-time.Hour).Format(http.TimeFormat), changed.Add(time.Hour).Format(http.TimeFormat)
	q := question{
		method: pick(rnd, "GET", "GET", "GET", "HEAD", "POST"),
		name:   pick(rnd, "a.txt", "b.html", "c.png", "d.json"),
		etag:   pick(rnd, "", `"v1"`, `"v1"`, `W/"v1"`),
		kind:   rnd.IntN(5), size: pick(rnd, 0, 1, 10, 100), dated: rnd.IntN(4) > 0,
		fields: map[string]string{},
	}
	for _, f := range []struct {
		name   string
		seldom int
		values []string
	}{
		{"Range", 2, []string{
			"bytes=0-0", "bytes=0-4", "bytes=5-", "bytes=-3", "bytes=-500", "bytes=0-500", "bytes=99-", "bytes=100-", "bytes=10-20",
			"bytes=0-1,5-6", "bytes=0-1, -2", "bytes=0-9,0-9,0-9", "bytes=,0-2,", "bytes=", "bytes=7", "bytes=a-b", "bytes=5-2", "bytes=--2", "x",
			"lines=1-2", "Bytes=0-1", "bytes=-0", "bytes=+1-5", "bytes=0-99999999999999999999", "bytes=0-1,900-800", "bytes=200-300,1-2", "bytes=0-0,2-2,4-4,6-6",
		}},
		{"If-Range", 3, []string{`"v1"`, `"v2"`, `W/"v1"`, same, before, after, "x"}},
		{"If-Match", 4, []string{`"v1"`, `"v2"`, `W/"v1"`, "*", `"v2", "v1"`}},
		{"If-None-Match", 4, []string{`"v1"`, `"v2"`, `W/"v1"`, "*", `"v2", W/"v1"`}},
		{"If-Modified-Since", 4, []string{same, before, after, "x"}},
		{"If-Unmodified-Since", 4, []string{same, before, after, "x"}},
	} {
		if rnd.IntN(f.seldom) == 0 {
			q.fields[f.name] = pick(rnd, f.values...)
		}
	}
	return q
}

func (q question) modtime() time.Time {
	if q.dated {
		return changed
	}
	return time.Time{}
}

// reader is the content as one of the kinds of readers; the last can be anything, and so blocks.
func (q question) reader(f, cut *os.File) io.ReadSeeker {
	switch q.kind {
	case 0:
		return io.NewSectionReader(f, 0, int64(q.size))
	case 1:
		return strings.NewReader(q.content())
	case 2:
		return bytes.NewReader([]byte(q.content()))
	case 3:
		_ = cut.Truncate(int64(q.size))
		_, _ = cut.WriteAt([]byte(q.content()), 0)
		return cut
	}
	return struct{ io.ReadSeeker }{strings.NewReader(q.content())}
}

var boundaries = regexp.MustCompile(`boundary=([0-9a-f]+)`)

// inWords is what an answer says.
func inWords(res *http.Response, body string) string {
	if m := boundaries.FindStringSubmatch(res.Header.Get("Content-Type")); m != nil {
		body = strings.ReplaceAll(body, m[1], "B")
		res.Header.Set("Content-Type", strings.ReplaceAll(res.Header.Get("Content-Type"), m[1], "B"))
		res.ContentLength = 0 // boundaries have different lengths
	}
	if res.StatusCode == 412 || res.StatusCode == 416 { // their text is each server's own
		return fmt.Sprint(res.StatusCode)
	}
	s := fmt.Sprintf("%d %d %q", res.StatusCode, res.ContentLength, body)
	for _, name := range []string{"Content-Type", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified"} {
		s += fmt.Sprintf(" %s=%q", name, res.Header[name])
	}
	return s
}

func TestServeContentAgreesWithNetHTTP(t *testing.T) {
	f := fileOf(t, []byte(asciiOf))
	cut, err := os.CreateTemp(t.TempDir(), "f")
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Close()
	var q question
	_, ours := start(t, nil, func(s *Server) {
		inline := HandlerFunc(func(w *Response, r *Request) {
			w.WriteString("what is replaced")
			if q.etag != "" {
				w.SetHeader("ETag", q.etag)
			}
			ServeContent(w, r, q.name, q.modtime(), q.reader(f, cut))
		})
		blocking := Blocking(inline)
		s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
			if q.kind == 4 || q.size == 1 {
				next = blocking
			}
			next.Serve(w, r)
		})(Streaming(inline))
	})
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q.etag != "" {
			w.Header().Set("ETag", q.etag)
		}
		http.ServeContent(w, r, q.name, q.modtime(), strings.NewReader(q.content()))
	}))
	defer theirs.Close()
	there := netip.MustParseAddrPort(theirs.Listener.Addr().String())

	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	p, o := dial(t, ours), dial(t, there)
	same, statuses := 0, map[int]int{}
	for range 1500 {
		q = newQuestion(rnd)
		request := q.method + " / HTTP/1.1\r\nHost: a\r\n"
		for name, value := range q.fields {
			request += name + ": " + value + "\r\n"
		}
		p.send("%s", request+"\r\n")
		res, body := p.answer(q.method)
		statuses[res.StatusCode]++
		excused := false
		for _, d := range otherwise {
			excused = excused || d.asks(q)
		}
		got := inWords(res, body)
		o.send("%s", request+"\r\n")
		res, body = o.answer(q.method)
		if want := inWords(res, body); got == want {
			same++
		} else if !excused {
			t.Fatalf("seed %d, of %+v\n got %s\nwant %s", seed, q, got, want)
		}
	}
	t.Logf("%d the same; %v", same, statuses)
	if same < 1200 || len(statuses) != 5 {
		t.Errorf("seed %d: only %d the same; %v", seed, same, statuses)
	}
}

// The differences are as they are listed.
func TestServeContentOtherwise(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		ServeContent(w, r, "a.unheard-of", changed, strings.NewReader("0123456789"))
	})
	p := dial(t, addr)
	many := "bytes=0-0" + strings.Repeat(",1-1", 64)
	for _, c := range []struct{ method, field, want string }{
		{"HEAD", "bytes=0-1", "200 10 []"},
		{"POST", "bytes=0-1", "200 10 []"},
		{"GET", "lines=0-1", "200 10 []"},
		{"GET", "Bytes=0-1", "206 2 [bytes 0-1/10]"},
		{"GET", "bytes=-0", "416 22 [bytes */10]"},
		{"GET", "bytes=+1-2", "416 22 [bytes */10]"},
		{"GET", "bytes=8-99999999999999999999", "206 2 [bytes 8-9/10]"},
		{"GET", "bytes=99999999999999999999-", "416 22 [bytes */10]"},
		{"GET", "bytes=0-1,90-80", "416 22 [bytes */10]"},
		{"GET", many, "200 10 []"},
		{"GET", "nonsense", "416 22 [bytes */10]"},
	} {
		p.send("%s / HTTP/1.1\r\nHost: a\r\nRange: %s\r\n\r\n", c.method, c.field)
		res, _ := p.answer(c.method)
		want(t, c.method+" "+c.field, fmt.Sprint(res.StatusCode, " ", res.ContentLength, " ", res.Header["Content-Range"]), c.want)
		if res.StatusCode < 300 && res.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s", res.Header)
		}
	}
}

// failing is content that fails.
type failing struct {
	io.ReadSeeker
	err error
}

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type unseekable struct{ io.Reader }

func (unseekable) Seek(int64, int) (int64, error) { return 0, errors.New("on purpose") }

// What cannot be served is said: by a panic where it could block the loop, by 500, or by an answer that is too short. With a
// filter there are no ranges.
func TestServeContentRefuses(t *testing.T) {
	ended := make(chan error, 8)
	serve := func(path string, w *Response, r *Request) {
		w.OnDone(func(w *Response, _ *Request) { ended <- w.Err() })
		switch path {
		case "/fails":
			ServeContent(w, r, "a", time.Time{}, failing{strings.NewReader("content"), errors.New("on purpose")})
		case "/unseekable":
			ServeContent(w, r, "a", time.Time{}, unseekable{})
		case "/filter":
			w.SetHeader("ETag", `"1"`)
			w.Filter(func(dst, p []byte, _ bool) ([]byte, error) { return append(dst, bytes.ToUpper(p)...), nil })
			ServeContent(w, r, "a", time.Time{}, strings.NewReader("content"))
		case "/late":
			w.Stream()
			ServeContent(w, r, "a", time.Time{}, strings.NewReader("content"))
		}
	}
	_, addr := start(t, nil, func(s *Server) {
		off := BlockingFunc(func(w *Response, r *Request) { serve(r.Path(), w, r) })
		on := HandlerFunc(func(w *Response, r *Request) {
			w.OnPanic(func(w *Response, _ *Request, v any, _ []byte) { w.Reset(); w.WriteString(fmt.Sprint(v)) })
			serve(r.RawQuery(), w, r)
		})
		s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
			if r.RawQuery() == "" {
				next = off
			}
			next.Serve(w, r)
		})(AtHead(on))
	})
	wantContains(t, "on the loop", dial(t, addr).get("/?/fails"), "outside a Blocking handler")
	<-ended
	p := dial(t, addr)
	for _, path := range []string{"/unseekable", "/?/unseekable"} {
		p.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		if res, _ := p.answer("GET"); res.StatusCode != 500 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
		<-ended
	}
	for _, path := range []string{"/filter", "/?/filter"} {
		p.send("GET %s HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n", path)
		res, body := p.answer("GET")
		want(t, path, fmt.Sprint(res.StatusCode, body, res.Header["Accept-Ranges"], res.Header["Etag"]), `200CONTENT[] [W/"1"]`)
		<-ended
	}
	p.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, body := p.answer("GET"); body != "" {
		t.Errorf("late: %q", body)
	}
	<-ended
	p.send("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("content that fails seems whole")
	}
	if err := <-ended; !errors.Is(err, ErrContentLength) {
		t.Errorf("Err: %v", err)
	}
}

// Several ranges of a file are in the answer as multipart reads them, whatever the size.
func TestServeContentOfALargeFile(t *testing.T) {
	content := noise(4 << 20)
	f := fileOf(t, content)
	_, addr := start(t, func(w *Response, r *Request) { ServeContent(w, r, "a.bin", changed, f) })
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=5-1000004, 2000000-, 3-3\r\n\r\n")
	res, body := p.answer("GET")
	boundary := boundaries.FindStringSubmatch(res.Header.Get("Content-Type"))[1]
	parts := strings.Split(body, "--"+boundary)
	if len(parts) != 5 || res.StatusCode != 206 {
		t.Fatalf("%s: %d parts", res.Status, len(parts))
	}
	for i, want := range [][]byte{content[5:1000005], content[2000000:], content[3:4]} {
		if _, got, _ := strings.Cut(parts[i+1], "\r\n\r\n"); got != string(want)+"\r\n" {
			t.Errorf("part %d: %d bytes, want %d", i, len(got)-2, len(want))
		}
	}
}

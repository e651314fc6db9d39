package main

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"microhttp/server"
)

func TestRoutes(t *testing.T) {
	const text = "text/plain; charset=utf-8"
	p := dial(t, startDemo(t))
	for _, test := range []struct {
		request []string
		status  int
		kind    string // Content-Type
		body    string
	}{
		{[]string{"GET /plaintext HTTP/1.1"}, 200, "text/plain", "Hello, World!"},
		{[]string{"HEAD /plaintext HTTP/1.1"}, 200, "text/plain", ""},
		{[]string{"GET /json HTTP/1.1"}, 200, "application/json", `{"message":"Hello, World!"}`},
		{[]string{"GET /users/42 HTTP/1.1"}, 200, text, "id=42\n"},
		{[]string{"GET /users/a%2Fb%20c HTTP/1.1"}, 200, text, "id=a/b c\n"},
		{[]string{"GET /users/ada/posts/7 HTTP/1.1"}, 200, text, "user=ada\npost=7\n"},
		{
			[]string{"GET /echo HTTP/1.1", "x-B:  two words ", "X-a: 1", "x-b:"},
			200, text, "Host: test\nx-B: two words\nX-a: 1\nx-b: \n",
		},
		{
			[]string{"POST /echo HTTP/1.1", "Content-Length: 2", "", "hi"},
			200, text, "Host: test\nContent-Length: 2\n",
		},
		{
			[]string{"GET /cookie HTTP/1.1", `Cookie: a=1; b="two"; a=3`, "Cookie: c=x=y"},
			200, text, "a=1\nb=\"two\"\na=3\nc=x=y\n",
		},
		{[]string{"GET /cookie HTTP/1.1"}, 200, text, ""},
		{
			[]string{"POST / HTTP/1.1", "Content-Type: a/b; c=d", "Content-Length: 5", "", "\x00\r\n\xffx"},
			200, "a/b; c=d", "\x00\r\n\xffx",
		},
		{
			[]string{"POST / HTTP/1.1", "Transfer-Encoding: chunked", "", "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"},
			200, "", "abcde",
		},
		{[]string{"POST / HTTP/1.1"}, 200, "", ""},
		{[]string{"GET /sleep/0 HTTP/1.1"}, 200, text, "slept 0 ms\n"},
		{[]string{"GET /nowhere HTTP/1.1"}, 404, "", ""},
		{[]string{"GET /users/ HTTP/1.1"}, 404, "", ""},
		{[]string{"GET /plaintext/ HTTP/1.1"}, 404, "", ""},
		{[]string{"get /plaintext HTTP/1.1"}, 501, "", ""},
		{[]string{"BREW /plaintext HTTP/1.1"}, 501, "", ""},
		{[]string{"GET /bytes/67108865 HTTP/1.1"}, 400, text, "Bad Request\nn is a whole number from 0 to 67108864\n"},
		{[]string{"GET /bytes/-1 HTTP/1.1"}, 400, text, "Bad Request\nn is a whole number from 0 to 67108864\n"},
		{[]string{"GET /bytes/1e3 HTTP/1.1"}, 400, text, "Bad Request\nn is a whole number from 0 to 67108864\n"},
		{[]string{"GET /sleep/60001 HTTP/1.1"}, 400, text, "Bad Request\nms is a whole number from 0 to 60000\n"},
		{[]string{"GET /sleep/soon HTTP/1.1"}, 400, text, "Bad Request\nms is a whole number from 0 to 60000\n"},
	} {
		res, body := p.ask(test.request...)
		if res.StatusCode != test.status {
			t.Errorf("%q: answered %d", test.request, res.StatusCode)
		}
		if test.status >= 404 {
			continue // the router's own words
		}
		if got := res.Header.Get("Content-Type"); got != test.kind {
			t.Errorf("%q: Content-Type %q, want %q", test.request, got, test.kind)
		}
		if body != test.body {
			t.Errorf("%q: body %q, want %q", test.request, body, test.body)
		}
	}
}

// The lag is counted: a connection's loop has had a tick at least for each request before.
func TestLag(t *testing.T) {
	p := dial(t, startDemo(t))
	lines := regexp.MustCompile(`^ticks: ([1-9][0-9]*)\n50 % within \S+\n99 % within \S+\n99.9 % within \S+\n100 % within \S+\n$`)
	p.ask("GET /plaintext HTTP/1.1")
	var counts [2]int
	for i := range counts {
		_, body := p.ask("GET /lag HTTP/1.1")
		m := lines.FindStringSubmatch(body)
		if m == nil {
			t.Fatalf("said %q", body)
		}
		counts[i], _ = strconv.Atoi(m[1])
	}
	if counts[1] <= counts[0] {
		t.Errorf("%d ticks, and later %d", counts[0], counts[1])
	}
}

func TestMethodsThatAreNotThere(t *testing.T) {
	p := dial(t, startDemo(t))
	for _, test := range []struct {
		request string
		status  int
		allow   string
	}{
		{"OPTIONS / HTTP/1.1", 204, "GET, HEAD, OPTIONS, POST"},
		{"OPTIONS * HTTP/1.1", 204, "GET, HEAD, OPTIONS, POST, PUT"},
		{"OPTIONS /json HTTP/1.1", 204, "GET, HEAD, OPTIONS, POST"},
		{"DELETE / HTTP/1.1", 405, "GET, HEAD, OPTIONS, POST"},
		{"POST /plaintext HTTP/1.1", 405, "GET, HEAD, OPTIONS"},
		{"TRACE /sleep/1 HTTP/1.1", 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS /nowhere HTTP/1.1", 404, ""},
	} {
		res, _ := p.ask(test.request)
		if res.StatusCode != test.status || res.Header.Get("Allow") != test.allow {
			t.Errorf("%s: %d, Allow %q", test.request, res.StatusCode, res.Header.Get("Allow"))
		}
	}
}

// Every link of the start page leads somewhere, and it shows nothing from elsewhere.
func TestPage(t *testing.T) {
	t.Parallel()
	p := dial(t, startDemo(t))
	res, body := p.ask("GET / HTTP/1.1")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("answered %d, %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	links := regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(body, -1)
	if len(links) < 11 {
		t.Errorf("%d links", len(links))
	}
	for _, link := range links {
		if res, _ := p.ask("HEAD " + link[1] + " HTTP/1.1"); res.StatusCode == 404 || res.StatusCode == 400 {
			t.Errorf("%s: answered %d", link[1], res.StatusCode)
		}
	}
	if strings.Contains(body, "src=") || strings.Contains(body, "<link") || strings.Contains(body, "url(") {
		t.Error("the page loads something")
	}
}

func TestSetCookies(t *testing.T) {
	p := dial(t, startDemo(t))
	for _, test := range []struct {
		query  string
		status int
		set    string
	}{
		{"", 200, ""},
		{"?a=1&b=%22x%22&c", 200, `a=1; Path=/; HttpOnly; SameSite=Lax|b="x"; Path=/; HttpOnly; SameSite=Lax|c=; Path=/; HttpOnly; SameSite=Lax`},
		{"?a=1&a=2", 200, "a=2; Path=/; HttpOnly; SameSite=Lax"},
		{"?a=1&b=x%3By", 400, ""},
		{"?a=x%0D%0ASet-Cookie:b=c", 400, ""},
		{"?=x", 400, ""},
		{"?__Host-a=x", 400, ""},
	} {
		res, _ := p.ask("GET /cookie/set" + test.query + " HTTP/1.1")
		if got := strings.Join(res.Header["Set-Cookie"], "|"); res.StatusCode != test.status || got != test.set {
			t.Errorf("%s: %d, %q", test.query, res.StatusCode, got)
		}
	}
}

func TestReflect(t *testing.T) {
	p := dial(t, startDemo(t))
	for _, test := range []struct {
		query  string
		status int
		value  string
	}{
		{"?v=hello", 200, "hello"},
		{"?v=a+b%20c", 200, "a b c"},
		{"?v=1&v=2", 200, "1"},
		{"?x=1&v=caf%C3%A9", 200, "caf\xc3\xa9"},
		{"?v=", 200, ""},
		{"", 400, ""},
		{"?w=1", 400, ""},
		{"?v=a%0D%0ASet-Cookie:x=1", 400, ""},
		{"?v=a%0Ab", 400, ""},
		{"?v=a%0Db", 400, ""},
		{"?v=a%00b", 400, ""},
		{"?v=a%7Fb", 400, ""},
		{"?v=%20a", 400, ""},
		{"?v=a%20", 400, ""},
	} {
		res, _ := p.ask("GET /reflect" + test.query + " HTTP/1.1")
		got, sent := res.Header["X-Reflect"]
		if res.StatusCode != test.status || sent != (test.status == 200) {
			t.Errorf("%s: %d, X-Reflect %q", test.query, res.StatusCode, got)
		}
		if sent && got[0] != test.value {
			t.Errorf("%s: X-Reflect %q, want %q", test.query, got, test.value)
		}
		if res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: a field was smuggled in", test.query)
		}
	}
	for c := range 256 { // the law: the value arrives as it was, or not at all
		v := "a" + string([]byte{byte(c)}) + "b"
		res, _ := p.ask("GET /reflect?v=" + url.QueryEscape(v) + " HTTP/1.1")
		valid := c == '\t' || c >= ' ' && c != 0x7f
		if valid && res.Header.Get("X-Reflect") != v || !valid && res.StatusCode != 400 {
			t.Errorf("%q: %d, X-Reflect %q", v, res.StatusCode, res.Header.Get("X-Reflect"))
		}
	}
}

func TestEveryStatusIsWellFormed(t *testing.T) {
	addr := startDemo(t)
	p := dial(t, addr)
	for code := 200; code <= 599; code++ {
		res, body := p.ask(fmt.Sprintf("GET /status/%d HTTP/1.1", code))
		if res.StatusCode != code {
			t.Errorf("%d: answered %s", code, res.Status)
		}
		switch code {
		case 204, 205, 304:
			if kind := res.Header.Get("Content-Type"); body != "" || kind != "" {
				t.Errorf("%d: body %q, Content-Type %q", code, body, kind)
			}
		default:
			if want := strings.TrimSpace(fmt.Sprint(code, " ", server.StatusText(code))) + "\n"; body != want {
				t.Errorf("%d: body %q, want %q", code, body, want)
			}
		}
		if res.Close {
			p = dial(t, addr)
		}
	}
	for _, code := range []string{"0", "99", "100", "101", "199", "600", "1000", "abc", "+200", "0200", "2e2", "20%30x"} {
		if res, _ := p.ask("GET /status/" + code + " HTTP/1.1"); res.StatusCode != 400 {
			t.Errorf("%s: answered %s", code, res.Status)
		}
	}
}

func TestStatusesBringWhatTheyPromise(t *testing.T) {
	addr := startDemo(t)
	for code, fields := range map[int][]string{
		201: {"Location"}, 206: {"Content-Range"}, 301: {"Location"}, 302: {"Location"}, 303: {"Location"},
		307: {"Location"}, 308: {"Location"}, 401: {"WWW-Authenticate"}, 405: {"Allow"},
		407: {"Proxy-Authenticate"}, 416: {"Content-Range"}, 426: {"Upgrade", "Connection"}, 429: {"Retry-After"},
		503: {"Retry-After"},
	} {
		res, body := dial(t, addr).ask(fmt.Sprintf("GET /status/%d HTTP/1.1", code))
		for _, name := range fields {
			if res.Header.Get(name) == "" {
				t.Errorf("%d has no %s", code, name)
			}
		}
		if want := fmt.Sprintf("bytes 0-%d/*", len(body)-1); code == 206 && res.Header.Get("Content-Range") != want {
			t.Errorf("206: Content-Range %q, want %q", res.Header.Get("Content-Range"), want)
		}
		if got := res.Header.Get("Connection"); code == 426 && !strings.EqualFold(got, "upgrade") {
			t.Errorf("426: Connection %q", got)
		}
	}
}

// The demo that is measured answers without garbage.
func TestPlaintextAllocatesNothing(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	p := dial(t, startDemo(t))
	request := []byte("GET /plaintext HTTP/1.1\r\nHost: test\r\n\r\n")
	answer := make([]byte, 4<<10)
	round := func() {
		if _, err := p.Write(request); err != nil {
			t.Fatal(err)
		}
		for n := 0; n == 0 || answer[n-1] != '!'; {
			m, err := p.TCPConn.Read(answer[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
	if n := testing.AllocsPerRun(1000, round); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	p := dial(t, startDemo(t))
	body := strings.Repeat("0123456789", 2_000_000) // more than MaxBodyBytes
	sum := fmt.Sprintf("%d %x\n", len(body), sha256.Sum256([]byte(body)))
	for _, method := range []string{"POST", "PUT"} {
		if _, got := p.ask(method+" /upload HTTP/1.1", fmt.Sprint("Content-Length: ", len(body)), "", body); got != sum {
			t.Errorf("%s: %q, want %q", method, got, sum)
		}
		chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		if _, got := p.ask(method+" /upload HTTP/1.1", "Transfer-Encoding: chunked", "", chunks); got != sum {
			t.Errorf("%s, chunked: %q, want %q", method, got, sum)
		}
	}
}

package server

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The same bytes on two connections, one to this server and one to net/http's: streams of
// requests, some of them spoilt. What this server serves must be a prefix of what net/http
// serves: the same requests, cut at the same places, with the same content. It may refuse
// earlier; where it serves what net/http refuses, laxer says why.
var (
	diffSeed  = flag.Uint64("diff.seed", 0, "compare the one stream of TestAgreesWithNetHTTP with this seed")
	diffCount = flag.Int("diff.count", 300, "how many streams TestAgreesWithNetHTTP compares")
)

// laxer are the requests that this server serves and net/http refuses.
var laxer = []struct {
	why  string
	text *regexp.Regexp
}{
	{"RFC 9112, 2.2: an empty line before a request line is skipped", regexp.MustCompile(`^(\r\n)+`)},
	{"RFC 9112, 7.1.1: white space before the semicolon of a chunk extension", regexp.MustCompile(`\r\n[0-9a-f]+[ \t]+;`)},
}

// described is what both handlers answer: what they saw.
func described(method, target, host string, minor int, fields map[string][]string, body []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %d %q", method, target, host, minor, body)
	for _, name := range []string{"X", "Cookie", "Te", "X-Id", "Content-Type"} {
		fmt.Fprintf(&b, " %s=%q", name, fields[name])
	}
	return b.String()
}

func describe(w *Response, r *Request) {
	fields := map[string][]string{}
	for name, value := range r.Headers() {
		key := http.CanonicalHeaderKey(name)
		fields[key] = append(fields[key], value)
	}
	io.WriteString(w, described(r.Method(), r.Target(), r.Host(), r.ProtoMinor(), fields, r.PeekBody()))
}

func describeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // it is not served
	}
	io.WriteString(w, described(r.Method, r.RequestURI, r.Host, min(r.ProtoMinor, 1), r.Header, body))
}

func TestAgreesWithNetHTTP(t *testing.T) {
	_, ours := start(t, describe)
	theirs := httptest.NewUnstartedServer(http.HandlerFunc(describeHTTP))
	theirs.Config.ErrorLog = log.New(io.Discard, "", 0)
	theirs.Config.MaxHeaderBytes = 64 << 10
	theirs.Start()
	defer theirs.Close()
	there := netip.MustParseAddrPort(theirs.Listener.Addr().String())

	served, refused := 0, 0
	for i := range *diffCount {
		seed := *diffSeed
		if seed == 0 {
			seed = rand.Uint64()
		} else if i > 0 {
			break
		}
		stream := newStream(rand.New(rand.NewPCG(seed, 0)))
		a, b := answersTo(t, ours, stream), answersTo(t, there, stream)
		for i, got := range a {
			if got.status != 200 {
				refused++
				break
			}
			served++
			if i < len(b) && b[i].status == got.status && b[i].body == got.body {
				if b[i].closes {
					break // as it may: some HTTP/1.0, and some that awaited 100
				}
				continue
			}
			if i >= len(b) || b[i].status != 200 {
				if isLaxer(stream) {
					break
				}
				t.Errorf("-diff.seed=%d: request %d is served here and refused by net/http\n%.600q\n%.200q", seed, i, stream, got.body)
			} else {
				t.Errorf("-diff.seed=%d: request %d is read differently\n%.600q\nhere  %.200q\nthere %.200q", seed, i, stream, got.body, b[i].body)
			}
			break
		}
	}
	if *diffSeed == 0 && (served < *diffCount || refused < *diffCount/10) {
		t.Errorf("%d requests served and %d refused: that compares little", served, refused)
	}
}

func isLaxer(stream []byte) bool {
	for _, l := range laxer {
		if l.text.Match(stream) {
			return true
		}
	}
	return false
}

// newStream makes a few requests and spoils some of their heads. They are all of POST, because
// net/http skips an empty line behind that alone, and what is spoilt may leave one behind.
func newStream(rnd *rand.Rand) (b []byte) {
	for id := range 1 + rnd.IntN(4) {
		text := ""
		for w := newWish(rnd, id); ; w = newWish(rnd, id) {
			if text = w.text; w.method == "POST" && !w.ends && len(text) < 5000 {
				break
			}
		}
		if rnd.IntN(3) == 0 {
			text = spoil(rnd, text)
		}
		b = append(b, text...)
	}
	return b
}

// spoil changes one place in the head of a request, or in the line of its first chunk.
func spoil(rnd *rand.Rand, text string) string {
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	at := rnd.IntN(min(len(head)+12, len(text)))
	switch piece := spoilers[rnd.IntN(len(spoilers))]; rnd.IntN(4) {
	case 0: // take away
		return text[:at] + text[at+1:]
	case 1: // replace
		return text[:at] + piece + text[at+1:]
	case 2: // behind the line
		if end := strings.Index(text[at:], "\r\n"); end >= 0 {
			at += end + 2
		}
		fallthrough
	default:
		return text[:at] + piece + text[at:]
	}
}

// spoilers are what servers have been confused by.
var spoilers = []string{
	"\r", "\n", "\r\n", " ", "\t", ":", ";", ",", "\x00", "\x7f", "\x80", "\v", "0", "1", "+", "-", "%", "#", "x", "\"",
	"Content-Length: 3\r\n", "Content-Length: 0\r\n", "Content-Length : 3\r\n", "Content-Length: 3, 3\r\n",
	"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding:\tchunked\r\n",
	"Transfer-Encoding: chunked, chunked\r\n", "transfer-encoding: xchunked\r\n", "Host: b\r\n", " folded: x\r\n",
	"X: y\r\n", "X:\r\n", "Expect: 100-continue\r\n", "Content-Type: a/b\r\n", "Upgrade: h2c\r\nConnection: upgrade\r\n",
}

// seen is an answer.
type seen struct {
	status int
	body   string
	closes bool
}

// answersTo sends a stream, half-closes, and reads the answers until the end.
func answersTo(t *testing.T, addr netip.AddrPort, stream []byte) (all []seen) {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := c.Write(stream); err == nil {
			c.CloseWrite()
		}
	}()
	in := bufio.NewReader(c)
	for {
		res, body, err := readFinal(in, "GET")
		if res == nil {
			break
		}
		if all = append(all, seen{res.StatusCode, body, res.Close}); err != nil || res.StatusCode != 200 {
			break
		}
	}
	c.Close()
	<-sent
	return all
}

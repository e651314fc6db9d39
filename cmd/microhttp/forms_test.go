package main

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestReturnJSON(t *testing.T) {
	p := dial(t, startDemo(t))
	const doc = `{"n":12345678901234567890,"x":1.10}`
	for _, c := range []struct{ kind, body, kindOfAnswer, want string }{
		{"application/json", doc, "application/json", doc},
		{"application/json", "{} x", "application/problem+json", `{"title":"Bad Request","status":400,"detail":"line 1, column 4: something follows the document","column":4,"line":1,"offset":3}`},
		{"text/plain", doc, "application/problem+json", `"status":415`},
	} {
		res, body := p.ask("POST /json HTTP/1.1", "Content-Type: "+c.kind, fmt.Sprint("Content-Length: ", len(c.body)), "", c.body)
		if got := res.Header.Get("Content-Type"); got != c.kindOfAnswer || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %s %s, want %s %s", c.kind, c.body, got, body, c.kindOfAnswer, c.want)
		}
	}
}

func TestSummarizeForm(t *testing.T) {
	p := dial(t, startDemo(t))
	file := strings.Repeat("0123456789", 20_000)
	multi := "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x\r\nContent-Disposition: form-data; name=f; filename=n.txt\r\n\r\n" + file + "\r\n--x--\r\n"
	for _, c := range []struct{ kind, body, want string }{
		{"application/x-www-form-urlencoded", "a=1&a=%32", `{"fields":{"a":["1","2"]},"files":[]}`},
		{"multipart/form-data; boundary=x", multi, fmt.Sprintf(`{"fields":{"a":["1"]},"files":[{"field":"f","name":"n.txt","size":200000,"sha256":"%x"}]}`, sha256.Sum256([]byte(file)))},
		{"multipart/form-data; boundary=y", multi, `"status":400`},
		{"text/plain", "x", `"status":415`},
	} {
		_, body := p.ask("POST /form HTTP/1.1", "Content-Type: "+c.kind, fmt.Sprint("Content-Length: ", len(c.body)), "", c.body)
		if !strings.Contains(body, c.want) {
			t.Errorf("%s: %.200s, want %s", c.kind, body, c.want)
		}
	}
}

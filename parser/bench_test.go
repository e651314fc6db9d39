package parser

import (
	"strings"
	"testing"
)

// The heads that the scanner was designed against: what wrk sends, a small API client (170 bytes), a browser (470), a
// browser with many cookies (2001).
var benchHeads = []struct{ name, head string }{
	{"wrk", "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"},
	{"client", "GET /api/v1/users/12345?fields=all HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/8.5.0\r\n" +
		"Accept: */*\r\nAuthorization: Bearer abcdef0123456789\r\nX-Request-ID: 7f3a9c1\r\n\r\n"},
	{"browser", browserHead + "\r\n"},
	{"cookies", browserHead + "Cookie: " + strings.Repeat("session_id=0123456789abcdef; ", 53)[:1521] + "\r\n\r\n"},
}

const browserHead = "GET /articles/2024/06/some-long-title?ref=home HTTP/1.1\r\nHost: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n" +
	"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: cross-site\r\n"

func BenchmarkHead(b *testing.B) {
	for _, c := range benchHeads {
		b.Run(c.name, func(b *testing.B) {
			message := []byte(c.head)
			var p Parser
			var h Head
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for b.Loop() {
				if ev, n, _ := p.Next(message, &h); ev != EventHead || n != len(message) {
					b.Fatal(ev, n)
				}
				if ev, _, _ := p.Next(nil, &h); ev != EventEnd {
					b.Fatal(ev)
				}
			}
		})
	}
}

// BenchmarkNoProgress is a call that brings one byte more to an unfinished head.
func BenchmarkNoProgress(b *testing.B) {
	const most = DefaultHead / 2
	message := []byte("GET / HTTP/1.1\r\nX: " + strings.Repeat("x", most))
	var p Parser
	var h Head
	n := 0
	for b.Loop() {
		if n++; n > len(message) {
			p.Reset()
			n = 1
		}
		if ev, _, err := p.Next(message[:n], &h); ev != NeedMore || err != nil {
			b.Fatal(ev, err)
		}
	}
}

// BenchmarkChunk is a chunk of 1 KiB with its framing.
func BenchmarkChunk(b *testing.B) {
	p := Parser{Limits: &Limits{Body: -1}}
	var h Head
	if _, _, err := p.Next([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), &h); err != nil {
		b.Fatal(err)
	}
	chunk := []byte("400\r\n" + strings.Repeat("x", 1024) + "\r\n")
	for b.Loop() {
		_, n, _ := p.Next(chunk, &h)
		if ev, n, err := p.Next(chunk[n:], &h); ev != NeedMore || n != 2 || err != nil {
			b.Fatal(ev, n, err)
		}
	}
}

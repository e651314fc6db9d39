package parser

import (
	"strings"
	"testing"
)

// The four heads that the scanner was designed against: what wrk sends, a small API client, a browser, a browser with
// many cookies.
var benchHeads = []struct{ name, head string }{
	{"wrk", "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"},
	{"client", "GET /api/v1/users/12345 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n" +
		"Authorization: Bearer abcdef0123456789\r\nX-Request-ID: 7f3a9c\r\n\r\n"},
	{"browser", browserHead + "\r\n"},
	{"cookies", browserHead + "Cookie: " + strings.Repeat("session_id=0123456789abcdef; ", 53)[:1521] + "\r\n\r\n"},
}

const browserHead = "GET /articles/2024/06/some-long-title?ref=home HTTP/1.1\r\nHost: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n" +
	"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"

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

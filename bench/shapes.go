package main

// The shapes as a table: what makes each one special, and the bytes. {name} is its own name, {inner} a whole request that
// is hidden in it, {length} the length of all that stands behind the head, {chunk} the size of {inner} in hexadecimal. Where inner is mustNotBe, every reading has it as content; else it is a request to those who take
// the other of two readings.

import (
	"fmt"
	"slices"
	"strings"
)

type shape struct {
	about string
	text  string
	inner fate
}

// bytes are what is sent for the shape.
func (s shape) bytes(name, inner string) string {
	text := strings.NewReplacer("{name}", name, "{inner}", inner, "{chunk}", fmt.Sprintf("%x", len(inner))).Replace(s.text)
	_, body, _ := strings.Cut(text, "\r\n\r\n")
	return strings.ReplaceAll(text, "{length}", fmt.Sprint(len(body)))
}

var shapes = slices.Concat(honestShapes, framingShapes(), chunkShapes(), headShapes())

// opening is a request up to the fields that make the shape. Where the first of those is a folded line, the field that it
// continues is one of no importance.
const opening = "POST /?x HTTP/1.1\r\nHost: bench.example\r\nX-Request-Id: {name}\r\nX: y\r\n"

// honestShapes are no tricks: what is content stays content.
var honestShapes = []shape{
	{"a request in a sized body", sized("{inner}"), mustNotBe},
	{"a request in a chunk", opening + "Transfer-Encoding: chunked\r\n\r\n" + chunk("{inner}") + "0\r\n\r\n", mustNotBe},
	{"a last chunk and a request in a sized body", sized("0\r\n\r\n{inner}"), mustNotBe},
	{"a request in a GET's body", strings.Replace(sized("{inner}"), "POST", "GET", 1), mustNotBe},
	{"a request in a DELETE's chunk", strings.Replace(opening, "POST", "DELETE", 1) + "Transfer-Encoding: chunked\r\n\r\n" + chunk("{inner}") + "0\r\n\r\n", mustNotBe},
	{"a request in a chunk extension", opening + "Transfer-Encoding: chunked\r\n\r\n1;a=\"GET /users/inner HTTP/1.1\"\r\nx\r\n0\r\n\r\n", mayBe},
	{"a trailer section that names framing", opening + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\r\n", mayBe},
	{"a HEAD whose answer must have no content", strings.Replace(opening, "POST", "HEAD", 1) + "\r\n", mayBe},
	{"nothing special", opening + "Content-Length: 0\r\n\r\n", mayBe},
}

func sized(body string) string { return opening + "Content-Length: {length}\r\n\r\n" + body }

func chunk(body string) string { return "{chunk}\r\n" + body + "\r\n" }

// framingShapes are two framings, or a doubtful one, over bytes that mean something to either: to a reader of chunks the
// body ends at the last chunk, to a reader of Content-Length at the end of the inner request, to one who sees
// neither at once.
func framingShapes() []shape {
	const body = "0\r\n\r\n{inner}"
	var all []shape
	for _, fields := range []string{
		"Content-Length: {length}\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nContent-Length: {length}",
		"Content-Length: 5\r\nTransfer-Encoding: chunked",
		"Content-Length: 5\r\nContent-Length: {length}",
		"Content-Length: {length}\r\nContent-Length: 5",
		"Content-Length: {length}\r\nContent-Length: {length}",
		"Content-Length: {length}, {length}",
		"Content-Length: 5, {length}",
		"Content-Length: +{length}",
		"Content-Length: 0{length}",
		"Content-Length: 0x{length}",
		"Content-Length: {length} ",
		"Content-Length: {length}\t",
		"Content-Length: {length};",
		"Content-Length: {length}_0",
		"Content-Length: -{length}",
		"Content-Length: {length}.0",
		"Content-Length: \x0b{length}",
		"Content-Length: \"{length}\"",
		"Content-Length:",
		"Content-Length: 18446744073709551621",
		"Content-Length: 9223372036854775808",
		"Content-Length : {length}",
		"Content-Length\t: {length}",
		" Content-Length: {length}",
		"Content-Length:\r\n {length}",
		"Content_Length: {length}",
		"content-length: {length}",
		"Content-Length\x00: {length}",
		"X: y\nContent-Length: {length}",
		"X: y\rContent-Length: {length}",
		"X: y\x00\r\nContent-Length: {length}",
		"Transfer-Encoding : chunked",
		"Transfer-Encoding\t: chunked",
		" Transfer-Encoding: chunked",
		"\tTransfer-Encoding: chunked",
		"Transfer-Encoding:\tchunked",
		"Transfer-Encoding: chunked\t",
		"Transfer-Encoding:\r\n chunked",
		"Transfer-Encoding: chunk\r\n ed",
		"Transfer-Encoding: chunKed",
		"Transfer-Encoding: xchunked",
		"Transfer-Encoding: chunkedx",
		"Transfer-Encoding: \"chunked\"",
		"Transfer-Encoding: chunked;q=1",
		"Transfer-Encoding: chunked,",
		"Transfer-Encoding: ,chunked",
		"Transfer-Encoding: identity, chunked",
		"Transfer-Encoding: chunked, identity",
		"Transfer-Encoding: gzip, chunked",
		"Transfer-Encoding: chunked, chunked",
		"Transfer-Encoding: identity",
		"Transfer-Encoding:",
		"Transfer-Encoding: \x0bchunked",
		"Transfer-Encoding: chunked\x0b",
		"Transfer-Encoding: \x00chunked",
		"Transfer-Encoding: chun\u212aed",
		"Transfer_Encoding: chunked",
		"Transfer-Encoding\x00: chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
		"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: x\r\nTransfer-encoding: chunked",
		"X: y\nTransfer-Encoding: chunked",
		"X: y\rTransfer-Encoding: chunked",
		"X: y\x00\r\nTransfer-Encoding: chunked",
		"Connection: Content-Length\r\nContent-Length: {length}",
		"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
		"Expect: 100-continue\r\nContent-Length: {length}",
		"Expect: 100-continue, x\r\nContent-Length: {length}",
		"Expect: 100-\r\n continue\r\nContent-Length: {length}",
	} {
		all = append(all, shape{fields, opening + fields + "\r\n\r\n" + body, mayBe})
		if strings.Contains(fields, "Transfer") && !strings.Contains(fields, "Content-Length") {
			fields = "Content-Length: {length}\r\n" + fields // hidden behind a length that both believe in
			all = append(all, shape{fields, opening + fields + "\r\n\r\n" + body, mayBe})
		}
	}
	old := strings.Replace(opening, "HTTP/1.1", "HTTP/1.0", 1) + "Connection: keep-alive\r\n"
	return append(
		all,
		shape{"chunks in HTTP/1.0", old + "Transfer-Encoding: chunked\r\n\r\n" + body, mayBe},
		shape{"both in HTTP/1.0", old + "Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n" + body, mayBe},
	)
}

// chunkShapes are bodies in doubtful chunks. Whoever is more lenient sees the inner request elsewhere.
func chunkShapes() []shape {
	var all []shape
	for _, body := range []string{
		"0x0\r\n\r\n{inner}", "00\r\n\r\n{inner}", "0000000000000000000\r\n\r\n{inner}", "+0\r\n\r\n{inner}", "-0\r\n\r\n{inner}",
		" 0\r\n\r\n{inner}", "0 \r\n\r\n{inner}", "0\t;a\r\n\r\n{inner}", "0;\r\n\r\n{inner}", "0;a=\r\n\r\n{inner}", "0;a\x00\r\n\r\n{inner}",
		"0;a\rb\r\n\r\n{inner}", "0;a\n\r\n{inner}", "0\n\n{inner}", "0\n\r\n{inner}", "0\r\n\n{inner}", "0\r\r\n{inner}", "0\r\n\r{inner}",
		"1\r\nxx\r\n0\r\n\r\n{inner}", "1\r\nx\n0\r\n\r\n{inner}", "1\r\nx0\r\n\r\n{inner}", "1\r\nx\r0\r\n\r\n{inner}", "1\nx\r\n0\r\n\r\n{inner}",
		"1\r\nx\r\n\r\n0\r\n\r\n{inner}", "1;a\nx\r\n0\r\n\r\n{inner}", "2\r\nx\r\n0\r\n\r\n{inner}",
		"10000000000000000\r\nx\r\n0\r\n\r\n{inner}", "100000001\r\nx\r\n0\r\n\r\n{inner}", "ffffffffffffffff\r\nx\r\n0\r\n\r\n{inner}",
		"1_0\r\nx\r\n0\r\n\r\n{inner}", "\r\n0\r\n\r\n{inner}", ";a\r\n0\r\n\r\n{inner}", "g\r\n0\r\n\r\n{inner}",
		"0\r\nX : y\r\n\r\n{inner}", "0\r\n X: y\r\n\r\n{inner}", "0\r\nX: y\n\n{inner}", "0\r\nX\r\n\r\n{inner}", "0\r\nX: \x00\r\n\r\n{inner}",
		"0\r\nX: y\r\n{inner}", "0\r\n{inner}",
	} {
		all = append(all, shape{"chunks: " + body, opening + "Transfer-Encoding: chunked\r\n\r\n" + body, mayBe})
	}
	return all
}

// headShapes are doubtful about where the head ends, what the target is, or whom it is for.
func headShapes() []shape {
	const rest = "Host: bench.example\r\nX-Request-Id: {name}\r\n\r\n"
	var all []shape
	for _, text := range []string{
		"GET /?x HTTP/1.1\nHost: bench.example\nX-Request-Id: {name}\n\n{inner}",
		"GET /?x HTTP/1.1\r\nHost: bench.example\r\nX-Request-Id: {name}\r\n\n{inner}",
		"GET /?x HTTP/1.1\r\nHost: bench.example\r\nX-Request-Id: {name}\n\r\n{inner}",
		"GET /?x HTTP/1.1\r\nHost: bench.example\r\nX-Request-Id: {name}\r\r\n\r\n{inner}",
		"GET /?x HTTP/1.1\r\nHost: bench.example\r\nX-Request-Id: {name}\r\nX: y\n\nY: z\r\n\r\n{inner}",
		"GET /?x HTTP/1.1\r\nHost: bench.example\r\nX: y\rz\r\nX-Request-Id: {name}\r\n\r\n{inner}",
		"GET /?x HTTP/1.1\r\nHost: bench.example\r\nX: y\r\n z\r\nX-Request-Id: {name}\r\n\r\n{inner}",
		"GET /?x HTTP/1.1\r\n X: y\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nX Y: z\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nX\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\n: y\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nX: \x00\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nX_Y: z\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nHost: evil.example\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nHost : evil.example\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nHost: a@b\r\nX-Request-Id: {name}\r\n\r\n{inner}",
		"GET /?x HTTP/1.1\r\nHost:\r\nX-Request-Id: {name}\r\n\r\n{inner}",
		"GET /?x HTTP/1.1\r\nX-Request-Id: {name}\r\n\r\n{inner}",
		"GET http://evil.example/?x HTTP/1.1\r\n" + rest + "{inner}",
		"GET http://evil.example HTTP/1.1\r\n" + rest + "{inner}",
		"GET http:///x HTTP/1.1\r\n" + rest + "{inner}",
		"GET http://a@b/ HTTP/1.1\r\n" + rest + "{inner}",
		"GET //evil.example/x HTTP/1.1\r\n" + rest + "{inner}",
		"GET /a b HTTP/1.1\r\n" + rest + "{inner}",
		"GET /a\tb HTTP/1.1\r\n" + rest + "{inner}",
		"GET /a#b HTTP/1.1\r\n" + rest + "{inner}",
		"GET /a%0d%0aX:%20y HTTP/1.1\r\n" + rest + "{inner}",
		"GET /a%00b HTTP/1.1\r\n" + rest + "{inner}",
		"GET /\xff HTTP/1.1\r\n" + rest + "{inner}",
		"GET /a/../b/%2e%2e/c HTTP/1.1\r\n" + rest + "{inner}",
		"GET  /?x HTTP/1.1\r\n" + rest + "{inner}",
		"GET /?x  HTTP/1.1\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1 \r\n" + rest + "{inner}",
		"GET /?x HTTP/1.2\r\n" + rest + "{inner}",
		"GET /?x HTTP/2.0\r\n" + rest + "{inner}",
		"GET /?x HTTP/01.1\r\n" + rest + "{inner}",
		"GET /?x http/1.1\r\n" + rest + "{inner}",
		"GET /plaintext\r\n" + rest + "{inner}",
		"\r\n\r\nGET /?x HTTP/1.1\r\n" + rest + "{inner}",
		"\n\nGET /?x HTTP/1.1\r\n" + rest + "{inner}",
		"\x00GET /?x HTTP/1.1\r\n" + rest + "{inner}",
		"OPTIONS * HTTP/1.1\r\n" + rest + "{inner}",
		"CONNECT evil.example:80 HTTP/1.1\r\n" + rest + "{inner}",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{inner}",
		"GET /?x HTTP/1.1\r\nConnection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + rest + "{inner}",
		"GET /?x HTTP/1.1\r\nConnection: close, Host\r\n" + rest + "{inner}",
		"get /?x HTTP/1.1\r\n" + rest + "{inner}",
	} {
		about, _, _ := strings.Cut(text, rest)
		all = append(all, shape{"head: " + about, text, mayBe})
	}
	return all
}

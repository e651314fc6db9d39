package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Downloads are of the length that was asked for, in whole or in part, and only if the client has not got it.
func TestDownload(t *testing.T) {
	p := dial(t, startDemo(t))
	for _, test := range []struct {
		request []string
		want    string
	}{
		{[]string{"GET /download/0 HTTP/1.1"}, `200 0 "" ["zeros-0"]`},
		{[]string{"GET /download/3 HTTP/1.1"}, `200 3 "" ["zeros-3"]`},
		{[]string{"HEAD /download/68719476736 HTTP/1.1"}, `200 68719476736 "" ["zeros-68719476736"]`},
		{[]string{"GET /download/68719476736 HTTP/1.1", "Range: bytes=68719476730-"}, `206 6 "bytes 68719476730-68719476735/68719476736" ["zeros-68719476736"]`},
		{[]string{"GET /download/9 HTTP/1.1", "Range: bytes=9-"}, `416 22 "bytes */9" []`},
		{[]string{"GET /download/9 HTTP/1.1", `If-None-Match: "zeros-9"`}, `304 0 "" ["zeros-9"]`},
		{[]string{"GET /download/9 HTTP/1.1", "Range: bytes=-4", `If-Range: "zeros-9"`}, `206 4 "bytes 5-8/9" ["zeros-9"]`},
		{[]string{"GET /download/9 HTTP/1.1", "Range: bytes=-4", `If-Range: "zeros-8"`}, `200 9 "" ["zeros-9"]`},
		{[]string{"GET /download/9 HTTP/1.1", `If-Match: "zeros-8"`}, `412 20 "" []`},
	} {
		res, body := p.ask(test.request...)
		if got := fmt.Sprintf("%d %d %q %s", res.StatusCode, res.ContentLength, res.Header.Get("Content-Range"), res.Header["Etag"]); got != test.want {
			t.Errorf("%q:\n got %s\nwant %s", test.request, got, test.want)
		}
		if res.StatusCode < 300 && strings.Trim(body, "\x00") != "" {
			t.Errorf("%q: %q", test.request, body)
		}
	}
	res, body := p.ask("GET /download/1000000 HTTP/1.1", "Range: bytes=0-0, 500000-, 5-7")
	if parts := strings.Count(body, "Content-Range: bytes "); res.StatusCode != 206 || parts != 3 || strings.Count(body, "\x00") != 500_004 {
		t.Errorf("%d, %d parts, %d zeros", res.StatusCode, parts, strings.Count(body, "\x00"))
	}
}

// The page is 10 KiB, and compressed for those who take that.
func TestPackedPage(t *testing.T) {
	p := dial(t, startDemo(t))
	_, plain := p.ask("GET /page HTTP/1.1")
	if len(plain) != 10<<10 || !strings.HasSuffix(plain, "</html>\n") {
		t.Errorf("%d bytes", len(plain))
	}
	for range 3 { // the same writers, again and again
		res, packed := p.ask("GET /page HTTP/1.1", "Accept-Encoding: deflate, gzip;q=0.5")
		z, err := gzip.NewReader(strings.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != plain {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if len(packed) > 2000 || res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%d bytes, %s", len(packed), res.Header)
		}
	}
	for _, not := range []string{"gzip;q=0", "br", ""} {
		if res, body := p.ask("GET /page HTTP/1.1", "Accept-Encoding: "+not); body != plain || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %s", not, res.Header)
		}
	}
}

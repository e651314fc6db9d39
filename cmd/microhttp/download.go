package main

// Answers that the kernel sends from a file, and answers that are compressed on their way.

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"microhttp/server"
)

// maxDownload is the longest answer of /download.
const maxDownload = 64 << 30

// zeros is a file of maxDownload zero bytes that is sparse and so takes no room. It has no name any
// more, and is gone with the program.
var zeros = sync.OnceValues(func() (*os.File, error) {
	f, err := os.CreateTemp("", "microhttp-zeros-")
	if err != nil {
		return nil, err
	}
	if err = os.Remove(f.Name()); err == nil {
		err = f.Truncate(maxDownload)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
})

// download answers with n zero bytes, or the ranges of them that are asked for. All answers borrow
// one file.
func download(w *server.Response, r *server.Request) {
	n, ok := wholeNumber(w, r, "n", 0, maxDownload)
	if !ok {
		return
	}
	f, err := zeros()
	if err != nil {
		w.Error(500)
		w.WriteString(err.Error() + "\n")
		return
	}
	w.SetHeader("ETag", fmt.Sprintf(`"zeros-%d"`, n))
	server.ServeContent(w, r, "zeros.bin", pageIs.LastModified, io.NewSectionReader(f, 0, int64(n)))
}

// longPage is a page of 10 KiB.
var longPage = func() []byte {
	var b bytes.Buffer
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<title>A page of 10 KiB</title>\n<h1>A page of 10 KiB</h1>\n<ol>\n")
	for i := 1; b.Len() < 10<<10-60; i++ {
		fmt.Fprintf(&b, "<li>This is line %d of a page that compresses well.</li>\n", i)
	}
	fmt.Fprintf(&b, "</ol>\n%s</html>\n", strings.Repeat(" ", 10<<10-b.Len()-len("</ol>\n</html>\n")))
	return b.Bytes()
}()

// servePacked answers with a page, compressed when the client takes gzip. What it takes decides the
// answer, so every answer names that field in Vary, also 304 and the one to HEAD.
func servePacked(w *server.Response, r *server.Request) {
	w.SetHeader("Content-Type", "text/html; charset=utf-8")
	w.SetHeader("Content-Security-Policy", "default-src 'none'")
	w.SetHeader("Vary", "Accept-Encoding")
	w.GiveBody(longPage)
	if r.AcceptsEncoding("gzip") != "" {
		w.SetHeader("Content-Encoding", "gzip")
		packContent(w)
	}
}

// packer is a filter that compresses. It is a writer for gzip, which appends to what the filter was given.
type packer struct {
	z   *gzip.Writer
	dst []byte
}

var packers = sync.Pool{New: func() any { return &packer{z: gzip.NewWriter(nil)} }}

// packContent has the content of an answer compressed.
func packContent(w *server.Response) {
	p := packers.Get().(*packer)
	p.z.Reset(p)
	w.Filter(p.filter)
	w.OnDone(func(*server.Response, *server.Request) { packers.Put(p) })
}

func (p *packer) Write(b []byte) (int, error) {
	p.dst = append(p.dst, b...)
	return len(b), nil
}

func (p *packer) filter(dst, b []byte, last bool) ([]byte, error) {
	p.dst = dst
	_, err := p.z.Write(b)
	switch {
	case err != nil:
	case last:
		err = p.z.Close()
	case len(b) == 0:
		err = p.z.Flush()
	}
	dst, p.dst = p.dst, nil
	return dst, err
}

// Package compress compresses the content of answers: zstd, Brotli or gzip, whichever the client likes best.
//
//	squeeze := compress.New(compress.Config{})
//	s := server.Server{Handler: squeeze(routes)}
//
// It is a package of its own, so that a program that does not use it does not link the encoders. docs/design/039 says what was
// chosen, and docs/middleware.md where it belongs among other middleware.
package compress

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"microhttp/server"
)

// Coding is a content coding (RFC 9110, 8.4.1).
type Coding string

// The codings that there are.
const (
	Zstd   Coding = "zstd" // RFC 8878
	Brotli Coding = "br"   // RFC 7932
	Gzip   Coding = "gzip" // RFC 1952
)

// Config says what is compressed, and how. The zero value is ready.
type Config struct {
	// Codings are those in use. Of several that a client likes alike the first wins. Default: Zstd, Brotli, Gzip.
	Codings []Coding
	// Level is how much work is done for a smaller answer, from 1, the least, to 9. Each coding has its own idea of it. The
	// default takes 30 to 45 µs for 10 KiB of JSON in all three, and 100 µs with Brotli in a Stream.
	Level int
	// MinBytes is the least content that is compressed, if its length is known. Default 1 KiB, which one packet carries
	// anyway; negative compresses all.
	MinBytes int64
	// MaxOnLoop is the largest content, in bytes, that is compressed in one piece on an event loop, which nothing else can
	// use meanwhile. Larger content is sent as it is, unless it comes from a Blocking handler, a Stream or a file. Default
	// 1 MiB, which takes some 5 ms; negative has no limit.
	MaxOnLoop int64
	// MaxActive bounds the answers that are being compressed at a time, since each holds up to 1 MiB until it is sent, and
	// more at higher levels. Beyond it answers are sent as they are. Streams and files last, other answers do not. Default 256.
	MaxActive int
	// Types reports whether content of a media type is worth it. It gets the type in lower case and without parameters, and
	// must not block. Default: DefaultTypes.
	Types func(mediaType string) bool
}

// DefaultTypes reports whether content of that media type usually becomes much smaller: text, JSON, XML, scripts, fonts that
// are not compressed, WebAssembly. It is false for text/event-stream, since such a Stream lasts, and holds an encoder for as
// long.
func DefaultTypes(mediaType string) bool {
	kind, rest, _ := strings.Cut(mediaType, "/")
	switch kind {
	case "text":
		return rest != "event-stream"
	case "application":
		switch rest {
		case "json", "javascript", "xml", "wasm", "x-javascript", "ecmascript", "x-ndjson", "jsonl", "ld+json", "graphql", "rtf",
			"x-sh", "x-httpd-php", "sql", "yaml", "x-yaml", "toml", "manifest+json", "vnd.ms-fontobject", "x-font-ttf", "x-web-app-manifest+json",
			"postscript", "x-x509-ca-cert", "x-pem-file":
			return true
		}
	case "image":
		return rest == "svg+xml" || rest == "bmp" || rest == "x-icon" || rest == "vnd.microsoft.icon"
	case "font":
		return rest == "ttf" || rest == "otf" || rest == "collection"
	}
	return strings.HasSuffix(rest, "+json") || strings.HasSuffix(rest, "+xml")
}

// New returns a middleware that compresses the content of answers: inline, late, streamed, of Blocking handlers, and files.
//
//   - The coding is chosen by the quality values of Accept-Encoding (RFC 9110, 12.5.3). A client that sends none, or that
//     likes identity better, gets the content as it is.
//   - Content is sent as it is if it is small, of another type or of none, has a Content-Encoding, is a range (206 or
//     Content-Range), or has Cache-Control: no-transform or a digest of its bytes.
//   - Vary: Accept-Encoding is set wherever another Accept-Encoding could have got another answer: also on what is sent as it
//     is, to HEAD, on 304, and on ranges.
//   - A strong ETag becomes weak, there is no Content-Length, and no Accept-Ranges: see [server.Response.Filter]. On 304 it
//     becomes weak for clients that have the weak one.
//   - A Stream is compressed as it is written. Stream.Flush sends what the encoder keeps back.
//   - Encoders are pooled. An answer costs at most 4 allocations.
//
// A secret must not be compressed together with text that an attacker chooses, if the attacker can see the length of the
// answer (BREACH). Do not put this around answers that show both a secret, such as a CSRF token, and what the request said.
//
// New panics for a coding or a level that there is not.
func New(config Config) server.Middleware {
	c := &compressor{Config: config}
	if len(c.Codings) == 0 {
		c.Codings = []Coding{Zstd, Brotli, Gzip}
	}
	if c.Level < 0 || c.Level > 9 {
		panic(fmt.Sprintf("compress: level %d: there are 1 to 9", c.Level))
	}
	if c.MinBytes == 0 {
		c.MinBytes = 1 << 10
	}
	if c.MaxOnLoop == 0 {
		c.MaxOnLoop = 1 << 20
	}
	if c.MaxActive <= 0 {
		c.MaxActive = 256
	}
	if c.Types == nil {
		c.Types = DefaultTypes
	}
	for i, name := range c.Codings {
		if slices.Contains(c.Codings[:i], name) {
			panic("compress: a coding twice: " + string(name))
		}
		c.offers = append(c.offers, string(name))
		whole, stream := newPools(name, c.Level, &c.active)
		c.whole, c.stream = append(c.whole, whole), append(c.stream, stream)
	}
	decide := c.decide
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnHead(decide)
		next.Serve(w, r)
	})
}

type compressor struct {
	Config
	offers []string
	whole  []*pool      // for each of offers: for content that is in memory
	stream []*pool      // … and for Streams and files
	active atomic.Int64 // encoders in use
}

// decide is called when the head of an answer is decided.
func (c *compressor) decide(w *server.Response, r *server.Request) {
	if w.Status() == 206 {
		c.decidePart(w)
		return
	}
	if !c.wants(w) {
		return
	}
	vary(w)
	i := slices.Index(c.offers, r.AcceptsEncoding(c.offers...))
	switch {
	case i < 0:
	case w.Status() == 304:
		if !hasStrong(r.Header("If-None-Match"), w.Header("ETag")) {
			w.Filter(asItIs) // it is not called: the head becomes that of the 200
		}
	case r.Method() == "HEAD":
		w.SetHeader("Content-Encoding", c.offers[i])
		w.Filter(asItIs)
	case c.MaxOnLoop >= 0 && w.BodySize() > c.MaxOnLoop && w.PeekBody() != nil && r.Reactor().InLoop():
	default:
		if c.active.Add(1) > int64(c.MaxActive) {
			c.active.Add(-1)
			return
		}
		w.SetHeader("Content-Encoding", c.offers[i])
		pools := c.stream
		if w.PeekBody() != nil {
			pools = c.whole
		}
		pools[i].get().attach(w)
	}
}

// wants reports whether an answer is one that would be compressed for some client.
func (c *compressor) wants(w *server.Response) bool {
	switch status := w.Status(); {
	case w.PeekHeader("Content-Encoding") != nil || w.PeekHeader("Content-Range") != nil:
		return false
	case status == 304:
		return true // its 200 may have been, and the type is not known
	case status == 204 || status == 205:
		return false
	}
	if n := w.BodySize(); n == 0 || n > 0 && n < c.MinBytes {
		return false
	}
	if c.fixed(w) {
		return false
	}
	kind := w.PeekHeader("Content-Type")
	return kind != nil && c.Types(mediaType(kind))
}

// decidePart is for a range: it has the Vary of the whole (RFC 9110, 15.3.7).
func (c *compressor) decidePart(w *server.Response) {
	kind := mediaType(w.PeekHeader("Content-Type"))
	if w.PeekHeader("Content-Encoding") == nil && (kind == "multipart/byteranges" || c.Types(kind)) && !c.fixed(w) {
		vary(w)
	}
}

// fixed reports whether the bytes of the content must stay as they are.
func (c *compressor) fixed(w *server.Response) bool {
	for _, digest := range [...]string{"Content-Digest", "Repr-Digest", "Digest", "Content-MD5"} {
		if w.PeekHeader(digest) != nil {
			return true
		}
	}
	if w.PeekHeader("Cache-Control") == nil {
		return false
	}
	for name, value := range w.Headers() {
		if strings.EqualFold(name, "Cache-Control") && hasMember(value, "no-transform") {
			return true
		}
	}
	return false
}

// vary adds Accept-Encoding to Vary, unless it is there.
func vary(w *server.Response) {
	if w.PeekHeader("Vary") != nil {
		for name, value := range w.Headers() {
			if strings.EqualFold(name, "Vary") && (hasMember(value, "Accept-Encoding") || hasMember(value, "*")) {
				return
			}
		}
	}
	w.AddHeader("Vary", "Accept-Encoding")
}

// hasStrong reports whether the client has named the tag itself, and not the weak form of it. It has then got the content as it
// is, and can go on to ask for ranges of it.
func hasStrong(condition, tag string) bool {
	for {
		before, after, found := strings.Cut(condition, tag)
		if !found || tag == "" {
			return false
		}
		if !strings.HasSuffix(before, "W/") {
			return true
		}
		condition = after
	}
}

// hasMember reports whether a list has a member, in any case.
func hasMember(list, member string) bool {
	for m := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(m, " \t"), member) {
			return true
		}
	}
	return false
}

// mediaType is the type of a Content-Type in lower case, without parameters. Lower case, as it is mostly, costs no copy beyond
// the string.
func mediaType(field []byte) string {
	kind, _, _ := strings.Cut(string(field), ";")
	return strings.ToLower(strings.TrimRight(kind, " \t"))
}

func asItIs(dst, p []byte, _ bool) ([]byte, error) { return append(dst, p...), nil }

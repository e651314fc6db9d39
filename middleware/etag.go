package middleware

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"microhttp/server"
)

// ETag gives an entity tag to answers of 200 to GET and HEAD whose content is in memory, and answers 304 (Not Modified) to
// clients that have that content already (RFC 9110, 13). The handler still makes the content; what is saved is the way.
//
//   - The tag is strong: 128 bits of the content's SHA-256. Servers that answer the same have the same tag. Around or inside a
//     filter, such as package compress, it becomes weak: see [server.Response.Filter].
//   - Other conditions are evaluated as well, such as If-Match: see [server.Response.CheckPreconditions].
//   - An ETag that the handler has set stays, and then nothing is evaluated. So do answers with Cache-Control: no-store,
//     streams, files, and what has no content.
//   - HEAD has the tag of GET if the handler writes the content for both.
//
// It costs some 5 µs for 10 KiB, and one allocation for those who send a condition.
func ETag(next server.Handler) server.Handler {
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnHead(tagContent)
		next.Serve(w, r)
	})(next)
}

// tagContent is called when the head of an answer is decided.
func tagContent(w *server.Response, r *server.Request) {
	if w.Status() != 200 || w.PeekHeader("ETag") != nil || forbidsStoring(w) {
		return
	}
	if m := r.Method(); m != "GET" && m != "HEAD" {
		return
	}
	content := w.PeekBody()
	if len(content) == 0 {
		return
	}
	sum := sha256.Sum256(content)
	var tag [24]byte
	tag[0], tag[23] = '"', '"'
	base64.RawURLEncoding.Encode(tag[1:23], sum[:16])
	w.CheckPreconditions(server.Validators{ETag: string(tag[:])})
}

// forbidsStoring reports whether no client may keep the answer.
func forbidsStoring(w *server.Response) bool {
	return w.PeekHeader("Cache-Control") != nil && strings.Contains(strings.ToLower(w.Header("Cache-Control")), "no-store")
}

package middleware

// A request keeps one name across the servers that it passes. It is taken over from the
// peer when it can be copied into logs and fields without a thought; otherwise it is made
// here, of a random number drawn once and a counter: unique across restarts and machines,
// and as cheap as counting.

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync/atomic"

	"microhttp/server"
)

// RequestIDHeader is the field that carries the id, in requests and in answers.
const RequestIDHeader = "X-Request-Id"

// maxRequestID bounds an id that is taken over: it goes into every log line, and all
// forms in use (UUIDs, trace ids, ULIDs) are much shorter.
const maxRequestID = 64

// RequestID gives each answer an X-Request-Id:
//
//   - the request's own, when that has 1 to 64 bytes, all of them letters, digits or one of -._~:/+=@;
//   - else the trace-id of the request's traceparent (W3C Trace Context), so that logs and traces are found by one name;
//   - else a new one of 32 hexadecimal digits. It is not a secret: the next one can be guessed.
//
// Handlers read it with [GetRequestID]. Making one costs no allocation.
func RequestID(next server.Handler) server.Handler {
	ids := newIDs()
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		if id := r.PeekHeader(RequestIDHeader); sane(id) {
			w.SetHeader(RequestIDHeader, string(id)) // what is sane is a field value
		} else if trace := traceID(r.PeekHeader("Traceparent")); trace != nil {
			w.SetHeader(RequestIDHeader, string(trace))
		} else {
			fresh := ids.next()
			w.SetHeader(RequestIDHeader, string(fresh[:]))
		}
		next.Serve(w, r)
	})(next)
}

// GetRequestID returns the id that RequestID gave the answer, or "". It may be called by
// whoever the Response belongs to, up to OnDone; the string is yours.
func GetRequestID(w *server.Response) string { return w.Header(RequestIDHeader) }

// ids makes ids: 16 digits that are this generator's, 16 that are the request's.
type ids struct {
	prefix [16]byte
	count  atomic.Uint64
}

func newIDs() *ids {
	g := new(ids)
	var seed [8]byte
	rand.Read(seed[:]) // never fails: see crypto/rand
	hex.Encode(g.prefix[:], seed[:])
	return g
}

// next is safe to call from any goroutine.
func (g *ids) next() (id [32]byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], g.count.Add(1))
	copy(id[:], g.prefix[:])
	hex.Encode(id[len(g.prefix):], n[:])
	return id
}

func sane(id []byte) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, c := range id {
		if !idBytes[c] {
			return false
		}
	}
	return true
}

// idBytes holds what an id may consist of: nothing that a shell, a quoted string, a
// markup language or a list in a field gives a meaning to.
var idBytes = func() (t [256]bool) {
	for _, c := range []byte("-._~:/+=@0123456789" +
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return t
}()

// traceID returns the trace-id of a traceparent: version-traceid-parentid-flags in lower-case hexadecimal digits, of which
// a later version may have more. It is nil if the field is invalid, or if an id is all zeros.
func traceID(parent []byte) []byte {
	const size = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(parent) < size || string(parent[:2]) == "ff" || len(parent) > size && (string(parent[:2]) == "00" || parent[size] != '-') {
		return nil
	}
	for i, c := range parent[:size] {
		dash := i == 2 || i == 35 || i == 52
		if dash && c != '-' || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil
		}
	}
	trace, span := parent[3:35], parent[36:52]
	if allZeros(trace) || allZeros(span) {
		return nil
	}
	return trace
}

func allZeros(digits []byte) bool {
	for _, c := range digits {
		if c != '0' {
			return false
		}
	}
	return true
}

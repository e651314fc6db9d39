package main

// Some statuses promise the client a field: without it the answer is not well-formed. The
// table says which, so that /status/{code} never answers with half of a message.

import (
	"fmt"
	"strings"

	"microhttp/server"
)

// status answers with the status that the path names, and all that belongs to it.
func status(w *server.Response, r *server.Request) {
	code, ok := wholeNumber(w, r, "code", minStatus, maxStatus)
	if !ok {
		return
	}
	w.SetStatus(code)
	for _, f := range promised[code] {
		w.SetHeader(f.name, f.value)
	}
	switch code {
	case 204, 205, 304:
		return // these never have content (15.3.5, 15.3.6, 15.4.5)
	}
	body := []byte(strings.TrimSpace(fmt.Sprint(code, " ", server.StatusText(code))) + "\n")
	if code == 206 { // the whole, as a range of something whose end is not known
		w.SetHeader("Content-Range", fmt.Sprintf("bytes 0-%d/*", len(body)-1))
	}
	setText(w)
	w.SetBody(body)
}

// The final statuses of RFC 9110, 15.
const (
	minStatus = 200
	maxStatus = 599
)

type field struct{ name, value string }

// promised holds the fields that an answer with a status needs, and those that it should
// have for a client to go on. The sections are RFC 9110's where no other RFC is named.
var promised = map[int][]field{
	201: {{"Location", "/"}},                                   // 15.3.2
	301: {{"Location", "/"}},                                   // 15.4.2
	302: {{"Location", "/"}},                                   // 15.4.3
	303: {{"Location", "/"}},                                   // 15.4.4
	304: {{"ETag", `"demo"`}},                                  // 15.4.5
	307: {{"Location", "/"}},                                   // 15.4.8
	308: {{"Location", "/"}},                                   // 15.4.9
	401: {{"WWW-Authenticate", `Basic realm="demo"`}},          // 15.5.2
	405: {{"Allow", "GET, HEAD, OPTIONS"}},                     // 15.5.6
	407: {{"Proxy-Authenticate", `Basic realm="demo"`}},        // 15.5.8
	408: {{"Connection", "close"}},                             // 15.5.9
	416: {{"Content-Range", "bytes */0"}},                      // 15.5.17
	426: {{"Upgrade", "websocket"}, {"Connection", "upgrade"}}, // 15.5.22, 7.8
	429: {{"Retry-After", "1"}},                                // RFC 6585, 4
	503: {{"Retry-After", "1"}},                                // 15.6.4
	511: {{"Cache-Control", "no-store"}},                       // RFC 6585, 6
}

package nethttp_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// answers are ways to answer, for TestFromAgreesWithNetHTTP.
var answers = map[string]http.HandlerFunc{
	"/nothing": func(http.ResponseWriter, *http.Request) {},
	"/status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) },
	"/599":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599); io.WriteString(w, "x") },
	"/205":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(205); io.WriteString(w, "x") },
	"/204": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1")
		w.WriteHeader(204)
		if n, err := io.WriteString(w, "x"); n != 0 || err != http.ErrBodyNotAllowed {
			panic(err)
		}
	},
	"/304": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(304)
		w.(http.Flusher).Flush()
	},
	"/fields": func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h["x-lower"] = []string{"1", "2"}
		h.Set("X-Lines", " a\r\nb\n ")
		h.Set("X-Latin", "\xe4")
		h.Set("X-Empty", "")
		h["X-None"] = nil
		io.WriteString(w, "x")
		h.Set("X-Late", "not sent")
	},
	"/fields/invalid": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X Y", "a")
		w.Header().Set("X-A", "b")
	},
	"/fields/status": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-A", "1")
		w.WriteHeader(201)
		w.Header().Set("X-A", "2")
		io.WriteString(w, "x")
	},
	"/close":     func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
	"/html":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!DOCTYPE html><p>x") },
	"/html/late": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<htm"); io.WriteString(w, "l>") },
	"/html/cut": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<htm")
		w.(http.Flusher).Flush()
		io.WriteString(w, "l>")
	},
	"/png": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "\x89PNG\x0D\x0A\x1A\x0A") },
	"/typed": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "a/b")
		io.WriteString(w, "x")
	},
	"/untyped": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "x")
	},
	"/encoded": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "x")
		io.WriteString(w, "x")
	},
	"/chunked": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		io.WriteString(w, "x")
	},
	"/identity": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "identity")
		io.WriteString(w, "x")
	},
	"/length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		io.WriteString(w, "four")
	},
	"/length/zero": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") },
	"/length/more": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		io.WriteString(w, "four")
		if n, err := io.WriteString(w, "x"); n != 0 || err != http.ErrContentLength {
			panic(err)
		}
	},
	"/length/large": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5000")
		io.WriteString(w, strings.Repeat("x", 5000))
	},
	"/length/nil": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Length"] = nil
		io.WriteString(w, "x")
	},
	"/length/nil/nothing": func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Length"] = nil },
	"/length/nil/204": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Length"] = nil
		w.WriteHeader(204)
	},
	"/coded/nil": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Transfer-Encoding"] = nil
		io.WriteString(w, "x")
	},
	"/coded/nil/length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Transfer-Encoding"] = nil
		w.Header().Set("Content-Length", "1")
		io.WriteString(w, "x")
	},
	"/coded/length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		w.Header().Set("Content-Length", "1")
		io.WriteString(w, "x")
	},
	"/coded/identity/length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "identity")
		w.Header().Set("Content-Length", "1")
		io.WriteString(w, "x")
	},
	"/twice": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(202) },
	"/flush": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
	"/flush/empty": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(203)
		if err := http.NewResponseController(w).Flush(); err != nil {
			panic(err)
		}
		io.WriteString(w, "x")
		w.Write(nil)
	},
	"/date": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.Header().Set("X-A", "b")
	},
	"/copy": func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.Copy(w, onlyReader{bytes.NewReader(big)}); n != int64(len(big)) || err != nil {
			panic(err)
		}
	},
	"/trailers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum, x-none")
		io.WriteString(w, "x")
		w.Header().Add("X-Sum", "1")
		w.Header().Add("X-Sum", "2")
	},
	"/trailers/prefix": func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Late", "1")
	},
	"/trailers/early": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(http.TrailerPrefix+"X-Late", "1")
		io.WriteString(w, "x")
	},
	"/trailers/toolate": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "x")
		w.Header().Set(http.TrailerPrefix+"X-Late", "1")
	},
	"/hints": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Link", "</a>")
		w.Header().Add("Link", "</b>")
		w.Header().Set("Content-Length", "1")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-A", "b")
		w.WriteHeader(http.StatusProcessing)
		io.WriteString(w, "x")
	},
}

func invalidLength(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "-1")
	w.WriteHeader(200)
	io.WriteString(w, "x")
}

// onlyReader hides what else a reader can.
type onlyReader struct{ io.Reader }

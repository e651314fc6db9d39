package static

import (
	"mime"
	"strings"

	"microhttp/server"
)

// coding is a content coding that siblings are in.
type coding struct{ name, suffix string }

// codings are those that are known, the one that compresses best first.
var codings = [...]coding{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// chooseCoding returns the coding among those there are that the client likes best, or nil for none: see
// [server.Request.AcceptsEncoding].
func chooseCoding(r *server.Request, there []*coding) *coding {
	if len(there) == 0 {
		return nil
	}
	var names [len(codings)]string
	for i, c := range there {
		names[i] = c.name
	}
	best := r.AcceptsEncoding(names[:len(there)]...)
	for _, c := range there {
		if c.name == best {
			return c
		}
	}
	return nil
}

// moreTypes are media types that package mime knows only where the system does.
var moreTypes = map[string]string{
	".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".map": "application/json", ".webmanifest": "application/manifest+json", ".ico": "image/x-icon",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf",
	".mp3": "audio/mpeg", ".mp4": "video/mp4", ".webm": "video/webm", ".zip": "application/zip", ".gz": "application/gzip",
}

// typeOf is the media type of an extension.
func typeOf(ext string) string {
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	if t := moreTypes[strings.ToLower(ext)]; t != "" {
		return t
	}
	return "application/octet-stream"
}

package static

import (
	"mime"
	"strconv"
	"strings"

	"microhttp/server"
)

// coding is a content coding that siblings are in.
type coding struct{ name, suffix string }

// codings are those that are known, the one that compresses best first.
var codings = [...]coding{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// chooseCoding returns the coding among those there are that the client likes best, or nil for none (RFC 9110, 12.5.3). Of
// those that it likes as much, the first wins.
func chooseCoding(r *server.Request, there []*coding) *coding {
	if len(there) == 0 {
		return nil
	}
	accepted := r.Header("Accept-Encoding")
	best, most := (*coding)(nil), qualityOf(accepted, "identity")
	for _, c := range there {
		if q := qualityOf(accepted, c.name); q > 0 && (q > most || q == most && best == nil) {
			best, most = c, q
		}
	}
	return best
}

// qualityOf is the quality of a coding, in thousandths. What is not named, and has no "*", is 0, but for identity, which is as
// good as the least of those named.
func qualityOf(accepted, name string) int {
	star := -1
	for member := range strings.SplitSeq(accepted, ",") {
		token, params, _ := strings.Cut(member, ";")
		token = strings.Trim(token, " \t")
		if strings.EqualFold(token, name) {
			return quality(params)
		}
		if token == "*" {
			star = quality(params)
		}
	}
	switch {
	case star >= 0 && name != "identity":
		return star
	case name == "identity" && star != 0:
		return 1
	}
	return 0
}

// quality reads a weight (RFC 9110, 12.4.2). One that is malformed is none.
func quality(params string) int {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.Trim(p, " \t"), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return int(q * 1000)
		}
	}
	return 1000
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

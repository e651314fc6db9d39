package server

import (
	"iter"
	"strconv"
	"strings"

	"microhttp/parser"
)

// Accepts returns the media type that the client likes best among those offered, by its Accept fields (RFC 9110, 12.5.1), or
// "" when it takes none of them. Of several that it likes alike the first offered is returned, and so it is when there is no
// Accept, or an empty one. A charset=utf-8 that the client asks for is met by every offer. An offer is compared as it is written, such as "application/json", and may have parameters.
func (r *Request) Accepts(types ...string) string {
	if r.isEmptyList("Accept") {
		return first(types)
	}
	return best(types, func(offer string) float64 {
		q, specific := 0.0, -1
		for member := range r.listOf("Accept") {
			wanted, weight := splitWeight(member)
			if s := covers(wanted, offer); s > specific {
				q, specific = weight, s
			}
		}
		return q
	})
}

// AcceptsEncoding returns the content coding that the client likes best among those offered, such as "gzip" and "br", by its
// Accept-Encoding fields (RFC 9110, 12.5.3), or "" when the content is best sent as it is. Of several that it likes alike the
// first offered is returned. It is "" also when there is no Accept-Encoding, although such a client would have to take any,
// and when the client likes "identity" better than all of them.
func (r *Request) AcceptsEncoding(codings ...string) string {
	weight := func(coding string) (float64, bool) {
		q, named := -1.0, false
		for member := range r.listOf("Accept-Encoding") {
			name, w := splitWeight(member)
			switch {
			case strings.EqualFold(name, coding), strings.EqualFold(name, "x-"+coding):
				q, named = w, true
			case name == "*" && !named:
				q = w
			}
		}
		return q, named
	}
	coding := best(codings, func(c string) float64 { q, _ := weight(c); return q })
	if coding == "" {
		return ""
	}
	if identity, named := weight("identity"); named {
		if q, _ := weight(coding); identity > q {
			return ""
		}
	}
	return coding
}

// Scheme returns the scheme that the client used, "http" or "https". A trusted proxy in front may have said so: see
// [Request.SetForwarded]. Otherwise it is that of the connection.
func (r *Request) Scheme() string {
	if proto := r.Forwarded().Proto; proto != "" {
		return proto
	}
	if r.conn.secure {
		return "https"
	}
	return "http"
}

// best is the offer with the greatest weight above 0, the first of several, or "".
func best(offers []string, weight func(string) float64) string {
	chosen, most := "", 0.0
	for _, offer := range offers {
		if q := weight(offer); q > most {
			chosen, most = offer, q
		}
	}
	return chosen
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// isEmptyList reports whether the fields of that name are missing or empty. Both say nothing.
func (r *Request) isEmptyList(name string) bool {
	for range r.listOf(name) {
		return false
	}
	return true
}

// listOf iterates over the members of all fields of that name. A comma within quotes separates nothing.
func (r *Request) listOf(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n, v := range r.Headers() {
			if !strings.EqualFold(n, name) {
				continue
			}
			for member := range parser.Split(v, ',') {
				if member != "" && !yield(member) {
					return
				}
			}
		}
	}
}

// splitWeight splits a member of a list into what it names and its weight (RFC 9110, 12.4.2). A weight that is malformed
// counts as 0: nothing is sent that the client may not take.
func splitWeight(member string) (name string, q float64) {
	if !strings.Contains(member, ";") {
		return member, 1
	}
	q = 1
	var room [4]string
	kept := room[:0]
	for part := range parser.Split(member, ';') {
		if n, v, ok := strings.Cut(part, "="); ok && strings.EqualFold(strings.Trim(n, " \t"), "q") && len(kept) > 0 {
			q = qvalue(strings.Trim(v, " \t"))
			break // what follows are extensions of Accept that nobody uses
		}
		kept = append(kept, part)
	}
	return strings.Join(kept, ";"), q
}

// qvalue is the value of a weight, 0 if it is none.
func qvalue(s string) float64 {
	if len(s) == 0 || len(s) > len("0.000") || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0
	}
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || q > 1 {
		return 0
	}
	return q
}

// covers says how specifically a media range covers a type: 3 with the same parameters, 2 by name, 1 as type/*, 0 as */*,
// and -1 not at all.
func covers(wanted, offer string) int {
	bare, parameters, _ := strings.Cut(offer, ";")
	bare = strings.Trim(bare, " \t")
	kind, _, _ := strings.Cut(bare, "/")
	name, wantedParameters, restricted := strings.Cut(wanted, ";")
	switch {
	case restricted && !isUTF8(wantedParameters):
		if strings.EqualFold(name, bare) && sameParameters(wantedParameters, parameters) {
			return 3
		}
	case strings.EqualFold(name, bare):
		return 2
	case strings.EqualFold(name, kind+"/*"):
		return 1
	case name == "*/*":
		return 0
	}
	return -1
}

// isUTF8 reports whether the parameters of a media range ask for nothing but UTF-8, as some clients do of types that have no
// other charset.
func isUTF8(parameters string) bool { return sameParameters(parameters, "charset=utf-8") }

func sameParameters(a, b string) bool {
	clean := strings.NewReplacer(" ", "", "\t", "", `"`, "")
	return strings.EqualFold(clean.Replace(a), clean.Replace(b))
}

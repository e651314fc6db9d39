package server

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"microhttp/parser"
)

// Cookies of the answer. A user agent that gets a Set-Cookie which is not quite right
// says nothing: it drops the cookie, or an attribute, or cuts a value short. So here is
// dropped, with a line in the log, what RFC 6265bis does not let a server send (4.1) or has
// user agents ignore (5.6, 5.7). What passes arrives as it was meant.

// Cookie is a cookie to be set. Its fields are those of net/http's Cookie and mean the
// same; the zero value of each leaves the attribute out.
type Cookie struct {
	// Name is a token (RFC 9110, 5.6.2). A name that begins with "__Secure-" or
	// "__Host-", in any case, must keep what that promises (RFC 6265bis, 4.1.3).
	Name string
	// Value may be empty. It holds ASCII without controls, space, comma, semicolon,
	// backslash and double quote, or such within a pair of double quotes, which are then
	// part of it. Encode anything else, as with base64.RawURLEncoding.
	Value string

	// Path begins with "/". Without one, user agents take the directory of the request.
	Path string
	// Domain is a host name, without a dot before or behind it: the cookie also goes to
	// its subdomains. Without one, it goes only to the host that set it.
	Domain string
	// Expires is when the cookie ends, a year from 1601 to 9999. User agents keep none
	// for more than 400 days.
	Expires time.Time
	// MaxAge is the same in seconds from now and wins over Expires. Negative deletes the
	// cookie: it is sent as an Expires long past, since the grammar has no Max-Age of 0.
	// Without both, the cookie ends with the session.
	MaxAge int
	// Secure keeps the cookie off connections that are not secured.
	Secure bool
	// HttpOnly keeps it from scripts.
	HttpOnly bool
	// SameSite says whether it goes along with requests that other sites cause.
	SameSite SameSite
	// Partitioned keeps it apart for each top-level site. It needs Secure.
	Partitioned bool
}

// SameSite is the attribute of that name (RFC 6265bis, 4.1.2.7).
type SameSite int

// The values of SameSite. SameSiteNoneMode needs Secure.
const (
	SameSiteDefaultMode SameSite = iota // no attribute: up to the user agent, mostly Lax
	SameSiteLaxMode
	SameSiteStrictMode
	SameSiteNoneMode
)

var sameSites = [...]string{"", "; SameSite=Lax", "; SameSite=Strict", "; SameSite=None"}

// What user agents take at most: beyond it they drop the cookie, or the attribute
// (RFC 6265bis, 5.6 and 5.7).
const (
	maxCookie     = 4096 // name and value together
	maxCookiePath = 1024
)

// SetCookie sets a cookie, in place of one of the same name that was set before in this
// answer: an answer should not hold two (RFC 6265bis, 4.1.1; where two are needed, with
// different paths, there is AddHeader). A name that is not a token panics. Any other cookie that cannot be sent, or that
// user agents would drop or change, is dropped, and the log has a line that names it and says why; Cookie.Valid
// tells beforehand. Once a Stream was taken, and in OnDone, it does nothing, but for a line in the log.
func (w *Response) SetCookie(c *Cookie) {
	w.x.req.lent()
	mustBeFieldName(c.Name)
	if w.committed() {
		_ = w.tooLate("the field " + setCookie)
		return
	}
	if wrong := c.wrong(); wrong != "" {
		w.logMisuse("invalid cookie dropped: "+wrong, setCookie+" "+c.Name)
		return
	}
	w.fields.delFunc(func(l line) bool { return w.isCookie(l, c.Name) })
	w.AddHeader(setCookie, string(c.appendTo(nil)))
}

const setCookie = "Set-Cookie"

// isCookie reports whether l sets the cookie of that name.
func (w *Response) isCookie(l line, name string) bool {
	if !w.fields.has(l, setCookie) {
		return false
	}
	n, _, _ := bytes.Cut(w.fields.value(l), []byte("="))
	return string(n) == name
}

// Valid returns nil for a cookie that can be set, else what is wrong with it, as an error
// that wraps ErrCookie. The value is no part of its text.
func (c *Cookie) Valid() error {
	if wrong := c.wrong(); wrong != "" {
		return fmt.Errorf("%w %.40q: %s", ErrCookie, c.Name, wrong)
	}
	return nil
}

// wrong says what is wrong with c, or nothing. The rules are those of user agents and the
// grammar, in the order of RFC 6265bis.
func (c *Cookie) wrong() string {
	switch {
	case !parser.ValidFieldName(c.Name):
		return "its name is not a token"
	case !validCookieValue(c.Value):
		return "its value holds what none may; encode it"
	case len(c.Name)+len(c.Value) > maxCookie:
		return "name and value are longer than user agents keep"
	case c.Path != "" && !validCookiePath(c.Path):
		return "its path is none, or longer than user agents keep"
	case c.Domain != "" && !validDomain(c.Domain):
		return "its domain is not a host name"
	case !c.Expires.IsZero() && (c.Expires.UTC().Year() < 1601 || c.Expires.UTC().Year() > 9999):
		return "it expires in a year that user agents do not read"
	case c.SameSite < 0 || int(c.SameSite) >= len(sameSites):
		return "its SameSite is unknown"
	case c.SameSite == SameSiteNoneMode && !c.Secure:
		return "SameSite=None needs Secure"
	case c.Partitioned && !c.Secure:
		return "Partitioned needs Secure"
	case hasPrefixFold(c.Name, "__Secure-") && !c.Secure:
		return "its prefix needs Secure"
	case hasPrefixFold(c.Name, "__Host-") && (!c.Secure || c.Path != "/" || c.Domain != ""):
		return "its prefix needs Secure, Path=/ and no Domain"
	}
	return ""
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && parser.EqualFold(s[:len(prefix)], prefix)
}

// validCookieValue reports whether v is a cookie-value (RFC 6265bis, 4.1.1).
func validCookieValue(v string) bool {
	if n := len(v); n > 1 && v[0] == '"' && v[n-1] == '"' {
		v = v[1 : n-1]
	}
	for i := range len(v) {
		if c := v[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\",;\\", c) >= 0 {
			return false
		}
	}
	return true
}

// validCookiePath reports whether user agents keep p as it is: it begins with "/", since
// any other is ignored, and does not end in a space, which would be cut off.
func validCookiePath(p string) bool {
	for i := range len(p) {
		if c := p[i]; c < ' ' || c >= 0x7f || c == ';' {
			return false
		}
	}
	return p[0] == '/' && p[len(p)-1] != ' ' && len(p) <= maxCookiePath
}

// validDomain reports whether d is a domain name of letters, digits and hyphens
// (RFC 1034, 3.5; RFC 1123, 2.1).
func validDomain(d string) bool {
	for label := range strings.SplitSeq(d, ".") {
		n := len(label)
		if n == 0 || n > 63 || label[0] == '-' || label[n-1] == '-' {
			return false
		}
		for i := range n {
			if c := label[i]; c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return len(d) <= 253
}

// appendTo appends c, which is valid, as a set-cookie-string.
func (c *Cookie) appendTo(b []byte) []byte {
	b = append(b, c.Name...)
	b = append(b, '=')
	b = append(b, c.Value...)
	if c.Path != "" {
		b = append(append(b, "; Path="...), c.Path...)
	}
	if c.Domain != "" {
		b = append(append(b, "; Domain="...), c.Domain...)
	}
	switch {
	case c.MaxAge < 0:
		b = append(b, "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"...)
	case !c.Expires.IsZero():
		b = c.Expires.UTC().AppendFormat(append(b, "; Expires="...), imfFixdate)
	}
	if c.MaxAge > 0 {
		b = strconv.AppendInt(append(b, "; Max-Age="...), int64(c.MaxAge), 10)
	}
	if c.HttpOnly {
		b = append(b, "; HttpOnly"...)
	}
	if c.Secure {
		b = append(b, "; Secure"...)
	}
	b = append(b, sameSites[c.SameSite]...)
	if c.Partitioned {
		b = append(b, "; Partitioned"...)
	}
	return b
}

// imfFixdate is the layout of RFC 9110, 5.6.7, for a time in UTC.
const imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"

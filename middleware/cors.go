package middleware

// Cross-origin resource sharing, as the Fetch standard has it: a browser shows the answer to a script of another origin
// only if the answer allows that, and asks beforehand, by a preflight, about what a form could not send.

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"microhttp/server"
)

// CORSConfig says what scripts of other origins may do.
type CORSConfig struct {
	// Origins are the origins that are allowed: "https://app.example.com", with its port if it has one, or "*" for all.
	// They are compared as they are, byte for byte.
	Origins []string
	// AllowOrigin allows further origins. It runs on the loop and must not block.
	AllowOrigin func(r *server.Request, origin string) bool
	// Methods are the methods that are allowed. Default GET, HEAD, POST, PUT, PATCH and DELETE.
	Methods []string
	// Headers are the fields that a request may have beside those of a form: "Content-Type", "Authorization". Default:
	// none. "*" is all but Authorization.
	Headers []string
	// Expose are the fields of the answer that a script may read beside the usual ones.
	Expose []string
	// Credentials allows requests with cookies, Authorization or client certificates. Then no list may be "*".
	Credentials bool
	// MaxAge is how long a browser may keep the answer to a preflight. Default: 5 s, which is what browsers assume.
	// Browsers keep it for two hours at most.
	MaxAge time.Duration
}

// CORS adds what allows scripts of other origins to read answers, errors among them, and answers preflights itself, with
// 204. Vary: Origin is in every answer, so that no cache serves one origin what was allowed to another. A request of an
// origin that is not allowed is served without these fields: CORS protects no server. See [CrossOrigin] for that.
//
// A preflight is an OPTIONS request, which a router answers itself. So CORS belongs around the router, in its Use, or in a
// Group with a prefix. In a Group without one, and around a single route, it sees no preflights.
//
// CORS panics for "*" together with Credentials, which browsers refuse, for an origin that is none, and if no origin is
// allowed.
func CORS(config CORSConfig) server.Middleware {
	c := newCORS(config)
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnHead(c.onHead)
		if isPreflight(r) {
			w.SetStatus(204)
			return
		}
		next.Serve(w, r)
	})
}

type cors struct {
	all     bool
	origins []string
	allow   func(r *server.Request, origin string) bool

	credentials                      bool
	methods, headers, expose, maxAge string

	onHead func(w *server.Response, r *server.Request)
}

func newCORS(config CORSConfig) *cors {
	c := &cors{
		origins: slices.Clone(config.Origins), allow: config.AllowOrigin, credentials: config.Credentials,
		all: slices.Contains(config.Origins, "*"),
	}
	c.onHead = c.setFields
	if len(c.origins) == 0 && c.allow == nil {
		panic("middleware: CORS allows no origin")
	}
	for _, list := range [...][]string{config.Origins, config.Methods, config.Headers, config.Expose} {
		if config.Credentials && slices.Contains(list, "*") {
			panic(`middleware: CORS with Credentials cannot allow "*": name what is allowed`)
		}
	}
	for _, origin := range c.origins {
		if origin != "*" && originHost(origin) == "" {
			panic("middleware: no origin, which is scheme://host or scheme://host:port: " + origin)
		}
	}
	methods := config.Methods
	if len(methods) == 0 {
		methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	}
	for _, list := range [...][]string{methods, config.Headers, config.Expose} {
		for _, name := range list {
			if !server.ValidFieldName(name) { // a method is a token, too
				panic("middleware: no name for CORS: " + strconv.Quote(name))
			}
		}
	}
	c.methods, c.headers, c.expose = strings.Join(methods, ", "), strings.Join(config.Headers, ", "), strings.Join(config.Expose, ", ")
	if config.MaxAge > 0 {
		c.maxAge = strconv.FormatInt(int64(config.MaxAge/time.Second), 10)
	}
	return c
}

func isPreflight(r *server.Request) bool {
	return r.Method() == "OPTIONS" && r.PeekHeader("Origin") != nil && r.PeekHeader("Access-Control-Request-Method") != nil
}

func (c *cors) setFields(w *server.Response, r *server.Request) {
	preflight := isPreflight(r)
	addVary(w, "Origin")
	if preflight {
		addVary(w, "Access-Control-Request-Method")
		addVary(w, "Access-Control-Request-Headers")
	}
	origin := r.Header("Origin")
	if origin == "" || !c.allows(r, origin) {
		return
	}
	if c.all {
		origin = "*"
	}
	w.SetHeader("Access-Control-Allow-Origin", origin)
	if c.credentials {
		w.SetHeader("Access-Control-Allow-Credentials", "true")
	}
	if !preflight {
		setIf(w, "Access-Control-Expose-Headers", c.expose)
		return
	}
	w.SetHeader("Access-Control-Allow-Methods", c.methods)
	setIf(w, "Access-Control-Allow-Headers", c.headers)
	setIf(w, "Access-Control-Max-Age", c.maxAge)
}

func (c *cors) allows(r *server.Request, origin string) bool {
	return c.all || slices.Contains(c.origins, origin) || c.allow != nil && c.allow(r, origin)
}

func setIf(w *server.Response, name, value string) {
	if value != "" {
		w.SetHeader(name, value)
	}
}

// addVary adds a name to Vary, unless it is there (RFC 9110, 12.5.5).
func addVary(w *server.Response, name string) {
	if w.PeekHeader("Vary") == nil { // as mostly
		w.SetHeader("Vary", name)
		return
	}
	for field, value := range w.Headers() {
		if !strings.EqualFold(field, "Vary") {
			continue
		}
		for member := range strings.SplitSeq(value, ",") {
			if member = strings.Trim(member, " \t"); member == "*" || strings.EqualFold(member, name) {
				return
			}
		}
	}
	w.AddHeader("Vary", name)
}

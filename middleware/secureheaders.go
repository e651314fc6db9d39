package middleware

import (
	"strconv"
	"time"

	"microhttp/server"
)

// SecureHeadersConfig says what [SecureHeaders] sets. The zero value is ready. "" is the default of a field, and "-"
// leaves it out.
type SecureHeadersConfig struct {
	// FrameOptions is X-Frame-Options: who may show the page in a frame. Default DENY.
	FrameOptions string
	// ReferrerPolicy is Referrer-Policy. Default strict-origin-when-cross-origin.
	ReferrerPolicy string
	// OpenerPolicy is Cross-Origin-Opener-Policy. Default same-origin.
	OpenerPolicy string
	// ContentSecurityPolicy is the field of that name. Default: none, since a policy depends on the pages.
	ContentSecurityPolicy string
	// PermissionsPolicy is the field of that name. Default: none.
	PermissionsPolicy string
	// HSTS is how long browsers are to use TLS alone for this host (RFC 6797): Strict-Transport-Security, which is sent
	// over TLS alone. Default: not at all. A year is usual, once all of the site works over TLS: it cannot be taken back
	// sooner.
	HSTS time.Duration
	// HSTSSubdomains has HSTS count for all subdomains too.
	HSTSSubdomains bool
}

// SecureHeaders adds fields that have browsers be careful with the answer: X-Content-Type-Options: nosniff,
// X-Frame-Options, Referrer-Policy, Cross-Origin-Opener-Policy, and what else the configuration names. A field that the
// handler has set stays as it is. All answers have the fields, also those that the server makes after a panic or a
// time-out. It costs no allocation.
//
// SecureHeaders panics for a value that no field may hold.
func SecureHeaders(config SecureHeadersConfig) server.Middleware {
	fields := []field{
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", orDefault(config.FrameOptions, "DENY")},
		{"Referrer-Policy", orDefault(config.ReferrerPolicy, "strict-origin-when-cross-origin")},
		{"Cross-Origin-Opener-Policy", orDefault(config.OpenerPolicy, "same-origin")},
		{"Content-Security-Policy", orDefault(config.ContentSecurityPolicy, "-")},
		{"Permissions-Policy", orDefault(config.PermissionsPolicy, "-")},
	}
	set := fields[:0]
	for _, f := range fields {
		if f.value != "-" {
			mustBeValue("SecureHeaders", f.value)
			set = append(set, f)
		}
	}
	hsts := ""
	if config.HSTS > 0 {
		hsts = "max-age=" + strconv.FormatInt(int64(config.HSTS/time.Second), 10)
		if config.HSTSSubdomains {
			hsts += "; includeSubDomains"
		}
	}
	onHead := func(w *server.Response, r *server.Request) {
		for _, f := range set {
			setDefault(w, f.name, f.value)
		}
		if hsts != "" && isSecure(r) {
			setDefault(w, "Strict-Transport-Security", hsts)
		}
	}
	return atHead(onHead)
}

// CacheControl sets Cache-Control of answers below 400 whose handler has set none (RFC 9111, 5.2): "no-store" for what is
// private, "no-cache" for what must be checked each time, "public, max-age=31536000, immutable" for what never changes
// under its name. Errors get none, so that they do not outlive their cause. It costs no allocation.
//
// CacheControl panics for a value that no field may hold.
func CacheControl(value string) server.Middleware {
	mustBeValue("CacheControl", value)
	return atHead(func(w *server.Response, _ *server.Request) {
		if w.Status() < 400 {
			setDefault(w, "Cache-Control", value)
		}
	})
}

// atHead is a middleware that leaves f to OnHead.
func atHead(f func(w *server.Response, r *server.Request)) server.Middleware {
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnHead(f)
		next.Serve(w, r)
	})
}

// isSecure reports whether the client uses TLS.
func isSecure(r *server.Request) bool { return r.Scheme() == "https" }

type field struct{ name, value string }

// setDefault sets a field that is not set.
func setDefault(w *server.Response, name, value string) {
	if w.PeekHeader(name) == nil {
		w.SetHeader(name, value)
	}
}

func orDefault(value, def string) string {
	if value == "" {
		return def
	}
	return value
}

func mustBeValue(where, value string) {
	if value == "" || !server.ValidFieldValue(value) {
		panic("middleware: a value that no field may hold for " + where + ": " + strconv.Quote(value))
	}
}

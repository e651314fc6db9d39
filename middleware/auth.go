package middleware

// Who asks: the schemes Basic (RFC 7617) and Bearer (RFC 6750) of the Authorization field. Credentials are compared by
// their digests and in constant time, so that the time of an answer says nothing about them. What a check returns goes
// to the handlers inside as a typed value.

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"

	"microhttp/server"
)

// User is the key of the name that [Users] has found, for [Basic].
var User = server.NewKey[string]("user")

// Basic lets a request pass whose user and password check accepts (RFC 7617). What check returns is the value of key for
// the handlers inside. Other requests are answered with 401 and a challenge that names the realm, before their bodies
// are sent.
//
//   - check runs on the loop and must not block. Wrap the chain in server.Blocking for a check that hashes passwords.
//   - A request with two Authorization fields, or with one that cannot be read, is refused.
//   - The password is sent in clear text: use it over TLS alone.
//
// Basic panics if check is nil, or if the realm holds a control byte.
func Basic[P any](realm string, key server.Key[P], check func(user, password string) (P, bool)) server.Middleware {
	if check == nil {
		panic("middleware: nil check for Basic")
	}
	challenge := challenge("Basic", realm) + `, charset="UTF-8"`
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		credentials, ok := credentialsOf(r, "Basic")
		if !ok {
			unauthorized(w, challenge)
			return
		}
		user, password, ok := basicPair(credentials)
		if !ok {
			unauthorized(w, challenge)
			return
		}
		who, ok := check(user, password)
		if !ok {
			unauthorized(w, challenge)
			return
		}
		key.Set(r, who)
		next.Serve(w, r)
	})
}

// Bearer lets a request pass whose token check accepts (RFC 6750). What check returns is the value of key for the
// handlers inside. Without a token the answer is 401 with a plain challenge, and for one that check refuses 401 with
// error="invalid_token". Otherwise it is as [Basic].
func Bearer[P any](realm string, key server.Key[P], check func(token string) (P, bool)) server.Middleware {
	if check == nil {
		panic("middleware: nil check for Bearer")
	}
	plain := challenge("Bearer", realm)
	invalid := plain + `, error="invalid_token"`
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		token, ok := credentialsOf(r, "Bearer")
		if !ok {
			unauthorized(w, plain)
			return
		}
		who, ok := check(token)
		if !ok {
			unauthorized(w, invalid)
			return
		}
		key.Set(r, who)
		next.Serve(w, r)
	})
}

// Users returns a check for [Basic] that knows a few users and their passwords, as a configuration names them. It
// returns the name of the user. It compares in constant time, also for names that it does not know. The map is copied,
// and only digests of it are kept.
func Users(passwords map[string]string) func(user, password string) (string, bool) {
	known := make(map[digest]digest, len(passwords))
	for user, password := range passwords {
		known[digestOf(user)] = digestOf(password)
	}
	return func(user, password string) (string, bool) {
		want, exists := known[digestOf(user)]
		got := digestOf(password) // an unknown user is compared with zeros, which are the digest of no known password
		same := subtle.ConstantTimeCompare(got[:], want[:]) == 1
		return user, same && exists
	}
}

// Tokens returns a check for [Bearer] that knows a few tokens, and what each stands for. It compares in constant time.
// The map is copied, and only digests of the tokens are kept.
func Tokens[P any](owners map[string]P) func(token string) (P, bool) {
	known := make(map[digest]P, len(owners))
	for token, owner := range owners {
		known[digestOf(token)] = owner
	}
	return func(token string) (P, bool) {
		owner, ok := known[digestOf(token)] // the time of a look-up depends on the digest, which a peer cannot steer
		return owner, ok
	}
}

type digest [sha256.Size]byte

func digestOf(s string) digest { return sha256.Sum256([]byte(s)) }

// challenge is an auth-scheme with its realm, as WWW-Authenticate has it.
func challenge(scheme, realm string) string {
	c := scheme + " realm=" + quoted(realm)
	if !server.ValidFieldValue(c) {
		panic("middleware: a realm that no field may hold: " + strconv.Quote(realm))
	}
	return c
}

// quoted is s as a quoted-string (RFC 9110, 5.6.4).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func unauthorized(w *server.Response, challenge string) {
	w.Error(401)
	w.SetHeader("WWW-Authenticate", challenge)
}

// credentialsOf returns what follows the scheme in the one Authorization field of r.
func credentialsOf(r *server.Request, scheme string) (string, bool) {
	value, n := soleField(r, "Authorization")
	if n != 1 || len(value) <= len(scheme) || value[len(scheme)] != ' ' || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	value = strings.TrimLeft(value[len(scheme):], " ")
	return value, value != ""
}

// soleField returns the value of the last field with that name, and how many there are.
func soleField(r *server.Request, name string) (value string, n int) {
	if r.PeekHeader(name) == nil {
		return "", 0 // as mostly, and then without a copy of the head
	}
	for field, v := range r.Headers() {
		if strings.EqualFold(field, name) {
			value = v
			n++
		}
	}
	return value, n
}

// basicPair decodes user-pass (RFC 7617, 2): a user without a colon, and a password.
func basicPair(credentials string) (user, password string, ok bool) {
	pair, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil || bytes.ContainsFunc(pair, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", "", false
	}
	return strings.Cut(string(pair), ":")
}

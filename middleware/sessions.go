package middleware

// Sessions that are kept by the client: a cookie holds the content, when it ends, and a signature over both. So servers
// share nothing but keys, and forget nothing when they restart.

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"microhttp/server"
)

// SessionConfig says how sessions are kept.
type SessionConfig struct {
	// Keys sign the cookies: the first signs, and all verify. To change keys, put a new one first, and drop the old one
	// when MaxAge has passed. Each has 32 random bytes or more, and is a secret.
	Keys [][]byte
	// Name is the name of the cookie. Default "__Host-session": user agents then take it over TLS alone (and from
	// localhost), for this host alone.
	Name string
	// MaxAge is how long a session lasts after it was saved. Default 24 h. The end is part of what is signed.
	MaxAge time.Duration
	// SameSite is the attribute of that name. Default Lax.
	SameSite server.SameSite
	// Insecure leaves Secure out of the cookie, for a server without TLS. Name must then be one without a prefix.
	Insecure bool
}

// Sessions reads and writes the sessions of one kind of content. The content is stored as JSON in a cookie, signed but
// not encrypted: the client can read it, cannot change it, and can send an older one again until that ends. Keep in it
// who the user is and what the user chose, no secrets and no balances.
//
// Get, Start, Save and End are for the goroutine that the request belongs to. They need no middleware around the handler.
type Sessions[T any] struct {
	keys     [][]byte
	name     string
	maxAge   time.Duration
	sameSite server.SameSite
	secure   bool
	now      func() time.Time
}

// Session is the content of a session, and what identifies it.
type Session[T any] struct {
	// ID is 32 hexadecimal digits, random and new with each Start. It is for logs, and for a list of sessions that were
	// revoked.
	ID string
	// Ends is when the session ends, in whole seconds.
	Ends time.Time
	// Value is the content.
	Value T
}

// ErrSession is wrapped by the errors of Start and Save: the content does not fit into a cookie, or is no JSON.
var ErrSession = errors.New("middleware: session not stored")

const (
	maxSession = 4 << 10 // name and value of the cookie together (RFC 6265bis, 5.6)
	minKey     = 32
	sessionID  = 16
	// sessionHead is what stands before the content: the end in seconds, and the ID.
	sessionHead = 8 + sessionID
)

// NewSessions makes Sessions. It panics if there is no key, if one is shorter than 32 bytes, or if the name of the cookie
// is none or asks for what Insecure takes away.
func NewSessions[T any](config SessionConfig) *Sessions[T] {
	s := &Sessions[T]{
		name: config.Name, maxAge: config.MaxAge, sameSite: config.SameSite, secure: !config.Insecure, now: time.Now,
	}
	if len(config.Keys) == 0 {
		panic("middleware: Sessions needs a key")
	}
	for _, key := range config.Keys {
		if len(key) < minKey {
			panic(fmt.Sprintf("middleware: a key of Sessions has %d bytes, and needs %d", len(key), minKey))
		}
		s.keys = append(s.keys, slices.Clone(key))
	}
	if s.name == "" {
		s.name = "__Host-session"
	}
	if s.maxAge <= 0 {
		s.maxAge = 24 * time.Hour
	}
	if s.sameSite == server.SameSiteDefaultMode {
		s.sameSite = server.SameSiteLaxMode
	}
	if !server.ValidFieldName(s.name) {
		panic("middleware: no name of a cookie: " + s.name)
	}
	if c := s.cookie(""); c.Valid() != nil {
		panic("middleware: " + c.Valid().Error())
	}
	return s
}

// Get returns the session that the request has brought, and whether there is one: signed by one of the keys, not ended,
// and with a content that is a T. The content is decoded anew with each call.
func (s *Sessions[T]) Get(r *server.Request) (session Session[T], ok bool) {
	for name, value := range r.Cookies() { // another host of the domain may have set one of the same name
		if name == s.name {
			if session, ok = s.open(value); ok {
				return session, true
			}
		}
	}
	return Session[T]{}, false
}

// Require lets a request with a session pass. The value of the session is that of key for the handlers inside. A request
// without one goes through the middleware otherwise, such as [Bearer] with the same key; without any it is answered with
// 401. So a group is for those who have logged in, or have a token:
//
//	own := routes.Group("/api", sessions.Require(user, middleware.Bearer("notes", user, check)))
//
// The cookie comes by itself, so requests that other sites cause must be kept out: see SameSite, and [CrossOrigin].
func (s *Sessions[T]) Require(key server.Key[T], otherwise ...server.Middleware) server.Middleware {
	return func(next server.Handler) server.Handler {
		var without server.Handler = headFunc(func(w *server.Response, _ *server.Request) { w.Error(401) })
		if len(otherwise) > 0 {
			without = server.AtHead(server.Chain(otherwise...)(server.AtHead(next)))
		}
		return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
			session, ok := s.Get(r)
			if !ok {
				without.Serve(w, r)
				return
			}
			key.Set(r, session.Value)
			next.Serve(w, r)
		})(next)
	}
}

// Start begins a new session with a new ID, in place of one that the client has. Call it whenever the user becomes
// another: at login above all, so that a session that an attacker has planted is worth nothing. The error wraps
// ErrSession; then no cookie is set.
func (s *Sessions[T]) Start(w *server.Response, value T) (Session[T], error) {
	var id [sessionID]byte
	rand.Read(id[:]) // never fails: see crypto/rand
	return s.set(w, id, value)
}

// Save stores another content in a session, which keeps its ID and lasts for MaxAge from now on. The error is that of
// Start.
func (s *Sessions[T]) Save(w *server.Response, session Session[T]) (Session[T], error) {
	var id [sessionID]byte
	if n, err := hex.Decode(id[:], []byte(session.ID)); err != nil || n != sessionID {
		return session, fmt.Errorf("%w: no ID: %.40q", ErrSession, session.ID)
	}
	return s.set(w, id, session.Value)
}

// End has the client drop its session, at logout. A copy that was taken before stays valid until it ends.
func (s *Sessions[T]) End(w *server.Response) {
	c := s.cookie("")
	c.MaxAge = -1
	w.SetCookie(&c)
}

func (s *Sessions[T]) set(w *server.Response, id [sessionID]byte, value T) (Session[T], error) {
	ends := s.now().Add(s.maxAge).Truncate(time.Second)
	sealed, err := s.seal(id, ends, value)
	if err != nil {
		return Session[T]{}, err
	}
	c := s.cookie(sealed)
	c.MaxAge = max(int(s.maxAge/time.Second), 1)
	w.SetCookie(&c)
	return Session[T]{hex.EncodeToString(id[:]), ends, value}, nil
}

func (s *Sessions[T]) cookie(value string) server.Cookie {
	return server.Cookie{
		Name: s.name, Value: value, Path: "/", Secure: s.secure, HttpOnly: true, SameSite: s.sameSite,
	}
}

func (s *Sessions[T]) seal(id [sessionID]byte, ends time.Time, value T) (string, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSession, err)
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(ends.Unix()))
	b = append(append(b, id[:]...), content...)
	b = append(b, s.sign(s.keys[0], b)...)
	if n := base64.RawURLEncoding.EncodedLen(len(b)) + len(s.name); n > maxSession {
		return "", fmt.Errorf("%w: the cookie would have %d bytes, and user agents take %d", ErrSession, n, maxSession)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

func (s *Sessions[T]) open(sealed string) (session Session[T], ok bool) {
	if len(sealed)+len(s.name) > maxSession {
		return session, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	at := len(b) - sha256.Size
	if err != nil || at < sessionHead || strings.ContainsAny(sealed, "\r\n") {
		return session, false
	}
	if !slices.ContainsFunc(s.keys, func(key []byte) bool { return hmac.Equal(s.sign(key, b[:at]), b[at:]) }) {
		return session, false
	}
	session.Ends = time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	if !s.now().Before(session.Ends) || json.Unmarshal(b[sessionHead:at], &session.Value) != nil {
		return session, false
	}
	session.ID = hex.EncodeToString(b[8:sessionHead])
	return session, true
}

// sign covers the name of the cookie too, so that a session of one kind is none of another.
func (s *Sessions[T]) sign(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s.name))
	h.Write([]byte{0})
	h.Write(b)
	return h.Sum(nil)
}

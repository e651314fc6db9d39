package middleware

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"microhttp/server"

	"github.com/rs/zerolog"
)

type account struct {
	User string
	Seen int
}

func sessionKey(c byte) []byte { return bytes.Repeat([]byte{c}, 32) }

func newAccounts(at *time.Time, keys ...byte) *Sessions[account] {
	c := SessionConfig{MaxAge: time.Hour}
	for _, k := range keys {
		c.Keys = append(c.Keys, sessionKey(k))
	}
	s := NewSessions[account](c)
	s.now = func() time.Time { return *at }
	return s
}

func TestSessionsSealAndOpen(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := newAccounts(&now, 1)
	ends := now.Add(time.Hour)
	sealed, err := s.seal([16]byte{1, 2}, ends, account{"ann", 3})
	if err != nil {
		t.Fatal(err)
	}
	got, ok := s.open(sealed)
	if want := (Session[account]{"01020000000000000000000000000000", ends, account{"ann", 3}}); !ok || got != want {
		t.Errorf("got %+v, %t", got, ok)
	}
	// The signature covers every byte, and the encoding is the only one.
	for i := range sealed {
		for _, c := range []byte("Aa_-9\n=") {
			if changed := sealed[:i] + string(c) + sealed[i+1:]; changed != sealed {
				if _, ok := s.open(changed); ok {
					t.Fatalf("opened with byte %d changed to %q", i, c)
				}
			}
		}
		if _, ok := s.open(sealed[:i]); ok {
			t.Fatalf("opened when cut to %d bytes", i)
		}
	}
	now = ends.Add(-time.Second)
	if _, ok := s.open(sealed); !ok {
		t.Error("ended a second too early")
	}
	now = ends
	if _, ok := s.open(sealed); ok {
		t.Error("opened when it had ended")
	}
}

// The first key signs, and all verify.
func TestSessionsChangeKeys(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	before, both, after := newAccounts(&now, 1), newAccounts(&now, 2, 1), newAccounts(&now, 2)
	was, _ := before.seal([16]byte{}, now.Add(time.Hour), account{})
	is, _ := both.seal([16]byte{}, now.Add(time.Hour), account{})
	for _, c := range []struct {
		s      *Sessions[account]
		sealed string
		want   bool
	}{{both, was, true}, {after, was, false}, {both, is, true}, {after, is, true}, {before, is, false}} {
		if _, ok := c.s.open(c.sealed); ok != c.want {
			t.Errorf("opened: %t, want %t", ok, c.want)
		}
	}
	other := NewSessions[account](SessionConfig{Keys: [][]byte{sessionKey(1)}, Name: "__Host-other"})
	if _, ok := other.open(was); ok {
		t.Error("opened a session of another name")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := newAccounts(&now, 1)
	fits := 0
	for n := range 4096 {
		sealed, err := s.seal([16]byte{}, now.Add(time.Hour), account{User: strings.Repeat("x", n)})
		if err != nil {
			if !errors.Is(err, ErrSession) {
				t.Fatal(err)
			}
			break
		}
		if _, ok := s.open(sealed); !ok || len(sealed)+len("__Host-session") > 4096 {
			t.Fatalf("a cookie of %d bytes: opened %t", len(sealed), ok)
		}
		fits = n
	}
	if fits < 2900 || fits > 3000 {
		t.Errorf("%d bytes fit", fits)
	}
	c := NewSessions[any](SessionConfig{Keys: [][]byte{sessionKey(1)}})
	if _, err := c.seal([16]byte{}, now, func() {}); !errors.Is(err, ErrSession) {
		t.Errorf("a func: %v", err)
	}
}

func TestNewSessionsPanics(t *testing.T) {
	for name, c := range map[string]SessionConfig{
		"no key":              {},
		"short key":           {Keys: [][]byte{make([]byte, 31)}},
		"prefix needs Secure": {Keys: [][]byte{sessionKey(1)}, Insecure: true},
		"bad name":            {Keys: [][]byte{sessionKey(1)}, Name: "a b"},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: taken", name)
				}
			}()
			NewSessions[account](c)
		}()
	}
}

// A browser that logs in, comes back, and logs out. What was planted before the login is gone after it.
func TestSessionsInABrowser(t *testing.T) {
	sessions := NewSessions[account](SessionConfig{Keys: [][]byte{sessionKey(1)}, Name: "session", Insecure: true})
	id := ""
	h := server.HandlerFunc(func(w *server.Response, r *server.Request) {
		s, ok := sessions.Get(r)
		switch r.Path() {
		case "/login":
			if s, err := sessions.Start(w, account{User: r.QueryValue("user")}); err == nil {
				id = s.ID
			}
		case "/logout":
			sessions.End(w)
		default:
			if !ok || s.ID != id {
				w.Error(401)
				return
			}
			s.Value.Seen++
			if _, err := sessions.Save(w, s); err != nil {
				w.Error(500)
			}
			w.WriteString(strings.Repeat("I", s.Value.Seen) + s.Value.User)
		}
	})
	silent := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h, Log: silent}
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	defer func() {
		_ = s.Shutdown(context.Background())
		<-ended
	}()
	base := "http://" + at.String()
	jar, _ := cookiejar.New(nil)
	client := http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}}
	defer client.CloseIdleConnections()
	planted := "/login?user=mallory"
	last := ""
	for _, step := range []struct {
		path, body string
		status     int
	}{
		{"/", "Unauthorized\n", 401},
		{planted, "", 200},
		{"/login?user=ann", "", 200},
		{"/", "Iann", 200},
		{"/", "IIann", 200},
		{"/logout", "", 200},
		{"/", "Unauthorized\n", 401},
	} {
		res, err := client.Get(base + step.path)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, _ = body.ReadFrom(res.Body)
		res.Body.Close()
		if res.StatusCode != step.status || body.String() != step.body {
			t.Errorf("%s: %d %q", step.path, res.StatusCode, body.String())
		}
		u, _ := url.Parse(base)
		if cookies := jar.Cookies(u); len(cookies) == 1 {
			if cookies[0].Value == last {
				t.Errorf("%s: the cookie stayed as it was", step.path)
			}
			last = cookies[0].Value
		}
	}
	// The content can be read, as the docs say.
	if b, err := base64.RawURLEncoding.DecodeString(last); err != nil || !bytes.Contains(b, []byte(`"User":"ann"`)) {
		t.Errorf("the content is %q", b)
	}
}

package middleware_test

import (
	"encoding/base64"
	"testing"

	"microhttp/middleware"
	"microhttp/server"
)

func basic(pair string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

func TestBasic(t *testing.T) {
	h := middleware.Basic(`the "inner" room`, middleware.User, middleware.Users(map[string]string{"ann": "a:b", "bob": ""}))(
		handler(func(w *server.Response, r *server.Request) { w.WriteString(middleware.User.Get(r)) }))
	for name, c := range map[string]struct {
		fields []string
		user   string // "" is refused
	}{
		"none":                 {nil, ""},
		"right":                {[]string{basic("ann:a:b")}, "ann"},
		"empty password":       {[]string{basic("bob:")}, "bob"},
		"scheme in other case": {[]string{"Authorization: bASIC " + base64.StdEncoding.EncodeToString([]byte("ann:a:b"))}, "ann"},
		"wrong password":       {[]string{basic("ann:a:c")}, ""},
		"other's password":     {[]string{basic("ann:")}, ""},
		"unknown user":         {[]string{basic("eve:a:b")}, ""},
		"no user":              {[]string{basic(":")}, ""},
		"no colon":             {[]string{basic("ann")}, ""},
		"not base64":           {[]string{"Authorization: Basic ann:a:b"}, ""},
		"other scheme":         {[]string{"Authorization: Bearer YW5uOmE6Yg=="}, ""},
		"scheme alone":         {[]string{"Authorization: Basic"}, ""},
		"two fields":           {[]string{basic("ann:a:b"), basic("ann:a:b")}, ""},
		"controls":             {[]string{basic("ann:a:b\x00")}, ""},
	} {
		res, body := ask(t, serve(t, h), append([]string{"GET / HTTP/1.1"}, c.fields...)...)
		if c.user != "" {
			if res.StatusCode != 200 || body != c.user {
				t.Errorf("%s: %d %q", name, res.StatusCode, body)
			}
			continue
		}
		want := `Basic realm="the \"inner\" room", charset="UTF-8"`
		if got := res.Header.Get("WWW-Authenticate"); res.StatusCode != 401 || got != want {
			t.Errorf("%s: %d, %s", name, res.StatusCode, got)
		}
	}
}

// A body that is not let in is not asked for.
func TestBasicRefusesByTheHead(t *testing.T) {
	h := middleware.Basic("r", middleware.User, middleware.Users(nil))(quiet)
	res, _ := ask(t, serve(t, h), "POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")
	if res.StatusCode != 401 || !res.Close {
		t.Errorf("status %d, close %t", res.StatusCode, res.Close)
	}
}

func TestBearer(t *testing.T) {
	owner := server.NewKey[int]("owner")
	h := middleware.Bearer("api", owner, middleware.Tokens(map[string]int{"t0ken": 42}))(
		handler(func(w *server.Response, r *server.Request) {
			if owner.Get(r) == 42 {
				w.WriteString("it is 42")
			}
		}))
	for _, c := range []struct {
		field, challenge string
		status           int
	}{
		{"X: y", `Bearer realm="api"`, 401},
		{"Authorization: Bearer t0ken", "", 200},
		{"Authorization: bearer   t0ken", "", 200},
		{"Authorization: Bearer t0kem", `Bearer realm="api", error="invalid_token"`, 401},
		{"Authorization: Bearer", `Bearer realm="api"`, 401},
		{basic("t0ken:"), `Bearer realm="api"`, 401},
	} {
		res, body := ask(t, serve(t, h), "GET / HTTP/1.1", c.field)
		if res.StatusCode != c.status || res.Header.Get("WWW-Authenticate") != c.challenge || (body == "it is 42") != (c.status == 200) {
			t.Errorf("%s: %d %q %v", c.field, res.StatusCode, body, res.Header)
		}
	}
}

func TestAuthPanicsForMistakes(t *testing.T) {
	mustPanic(t, "nil check", func() { middleware.Basic[string]("r", middleware.User, nil) })
	mustPanic(t, "nil check", func() { middleware.Bearer[string]("r", middleware.User, nil) })
	mustPanic(t, "realm", func() { middleware.Basic("a\nb", middleware.User, middleware.Users(nil)) })
}

package middleware_test

import (
	"fmt"
	"net/netip"
	"testing"

	"microhttp/middleware"
	"microhttp/server"
)

func prefixes(t testing.TB, texts ...string) []netip.Prefix {
	t.Helper()
	all, err := middleware.ParsePrefixes(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// tellClient answers with what is known of the client.
var tellClient = handler(func(w *server.Response, r *server.Request) {
	f := r.Forwarded()
	fmt.Fprintf(w, "%v %s %s", r.ClientAddr(), f.Proto, f.Host)
})

func TestClientAddressOfXForwarded(t *testing.T) {
	trust := middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1", "10.0.0.0/8", "fd00::/8")}
	stranger := middleware.ClientAddressConfig{Trusted: prefixes(t, "192.0.2.0/24")}
	for name, c := range map[string]struct {
		config middleware.ClientAddressConfig
		fields []string
		want   string
	}{
		"no field":              {trust, nil, "127.0.0.1  "},
		"one hop":               {trust, []string{"X-Forwarded-For: 198.51.100.7"}, "198.51.100.7  "},
		"stranger":              {stranger, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: a"}, "127.0.0.1  "},
		"no one trusted":        {middleware.ClientAddressConfig{}, []string{"X-Forwarded-For: 198.51.100.7"}, "127.0.0.1  "},
		"invented hop":          {trust, []string{"X-Forwarded-For: 1.1.1.1, 198.51.100.7"}, "198.51.100.7  "},
		"two proxies":           {trust, []string{"X-Forwarded-For: 1.1.1.1, 198.51.100.7, 10.1.2.3"}, "198.51.100.7  "},
		"two lines":             {trust, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-For: 10.1.2.3"}, "198.51.100.7  "},
		"all trusted":           {trust, []string{"X-Forwarded-For: 10.9.9.9, 10.1.2.3"}, "10.9.9.9  "},
		"unknown hop":           {trust, []string{"X-Forwarded-For: 1.1.1.1, unknown, 10.1.2.3"}, "10.1.2.3  "},
		"garbage":               {trust, []string{"X-Forwarded-For: <script>"}, "127.0.0.1  "},
		"empty":                 {trust, []string{"X-Forwarded-For:"}, "127.0.0.1  "},
		"with port":             {trust, []string{"X-Forwarded-For: 198.51.100.7:1234"}, "198.51.100.7  "},
		"IPv6":                  {trust, []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1  "},
		"IPv6 in brackets":      {trust, []string{"X-Forwarded-For: [2001:db8::1]:443"}, "2001:db8::1  "},
		"IPv4 in IPv6":          {trust, []string{"X-Forwarded-For: ::ffff:198.51.100.7"}, "198.51.100.7  "},
		"IPv4 in IPv6, trusted": {trust, []string{"X-Forwarded-For: 198.51.100.7, ::ffff:10.0.0.1"}, "198.51.100.7  "},
		"proto and host":        {trust, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: HTTPS", "X-Forwarded-Host: shop.example:8443"}, "198.51.100.7 https shop.example:8443"},
		"proto of the hop":      {trust, []string{"X-Forwarded-For: 198.51.100.7, 10.1.2.3", "X-Forwarded-Proto: https, http"}, "198.51.100.7 https "},
		"proto of the last":     {trust, []string{"X-Forwarded-For: 1.1.1.1, 198.51.100.7, 10.1.2.3", "X-Forwarded-Proto: http, https"}, "198.51.100.7 https "},
		"odd proto":             {trust, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: gopher"}, "198.51.100.7  "},
		"odd host":              {trust, []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: a/b"}, "198.51.100.7  "},
		"proto alone":           {trust, []string{"X-Forwarded-Proto: https"}, "127.0.0.1 https "},
		"other kind":            {trust, []string{"Forwarded: for=198.51.100.7"}, "127.0.0.1  "},
	} {
		c2 := serve(t, middleware.ClientAddress(c.config)(tellClient))
		for range 2 { // the second request has no fields: nothing is left of the first
			_, got := ask(t, c2, append([]string{"GET / HTTP/1.1"}, c.fields...)...)
			if got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			c.fields, c.want = nil, "127.0.0.1  "
		}
	}
}

func TestClientAddressOfForwarded(t *testing.T) {
	config := middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1", "10.0.0.0/8"), UseForwarded: true}
	c := serve(t, middleware.ClientAddress(config)(tellClient))
	for value, want := range map[string]string{
		`for=192.0.2.60;proto=https;by=203.0.113.43;host=a.example`: "192.0.2.60 https a.example",
		`For="[2001:db8:cafe::17]:4711"`:                            "2001:db8:cafe::17  ",
		`for=192.0.2.43, for=198.51.100.17`:                         "198.51.100.17  ",
		`for=192.0.2.43;proto=https, for=10.0.0.1;proto=http`:       "192.0.2.43 https ",
		`for=192.0.2.43, for="_hidden, \"x\"";proto=https`:          "127.0.0.1 https ",
		`for=unknown, for=10.0.0.1`:                                 "10.0.0.1  ",
		`for=192.0.2.43 ; proto=https`:                              "192.0.2.43 https ",
		`for="192.0.2.43`:                                           "127.0.0.1  ",
		`for`:                                                       "127.0.0.1  ",
		`for=192.0.2.43 x`:                                          "127.0.0.1  ",
		`for=1"2`:                                                   "127.0.0.1  ",
		``:                                                          "127.0.0.1  ",
	} {
		if _, got := ask(t, c, "GET / HTTP/1.1", "Forwarded: "+value, "X-Forwarded-For: 9.9.9.9"); got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}

// The log has the client beside the peer.
func TestClientAddressIsLogged(t *testing.T) {
	logged, log := newLog()
	trust := middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1")})
	c := serve(t, middleware.AccessLog(middleware.AccessLogConfig{Log: log})(trust(quiet)))
	ask(t, c, "GET / HTTP/1.1", "X-Forwarded-For: 198.51.100.7")
	if line := logged.next(t); line["client"] != "198.51.100.7" || line["remote"] != c.LocalAddr().String() {
		t.Errorf("logged %v", line)
	}
	ask(t, c, "GET / HTTP/1.1")
	if line := logged.next(t); line["client"] != nil {
		t.Errorf("logged %v", line)
	}
}

func TestClientAddressAllocatesNothing(t *testing.T) {
	config := middleware.ClientAddressConfig{Trusted: prefixes(t, "10.0.0.0/8")}
	expectNoAllocs(t, middleware.ClientAddress(config)(quiet))
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{`for=1.2.3.4;proto=https, for="[::1]:80"`, `for="a\"b`, `;;,,=`, `a=b;c`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, h := range middleware.ParseForwarded(s) {
			if len(h) > len(s) {
				t.Errorf("%q has the value %q", s, h)
			}
		}
	})
}

package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"microhttp/middleware"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// askWith sends a request with the fields, given as "Name: value", and returns the status and the body.
func askWith(method, url string, fields ...string) string {
	req, _ := http.NewRequest(method, url, nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(string(body)))
}

var hello = server.HandlerFunc(func(w *server.Response, r *server.Request) { w.WriteString("hello") })

func ExampleBasic() {
	protect := middleware.Basic("staff only", middleware.User, middleware.Users(map[string]string{"ann": "secret"}))
	addr, stop := start(protect(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		fmt.Fprintf(w, "hello %s", middleware.User.Get(r))
	})))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr))
	fmt.Println(askWith("GET", "http://ann:secret@"+addr))
	// Output:
	// 401 Unauthorized
	// 200 hello ann
}

func ExampleBearer() {
	type account struct{ Name string }
	caller := server.NewKey[*account]("caller")
	protect := middleware.Bearer("api", caller, middleware.Tokens(map[string]*account{"s3cret": {"ann"}}))
	addr, stop := start(protect(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		fmt.Fprintf(w, "hello %s", caller.Get(r).Name)
	})))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr, "Authorization: Bearer s3cret"))
	// Output:
	// 200 hello ann
}

func ExampleCrossOrigin() {
	addr, stop := start(middleware.CrossOrigin(middleware.CrossOriginConfig{})(hello))
	defer stop()
	fmt.Println(askWith("POST", "http://"+addr, "Sec-Fetch-Site: same-origin"))
	fmt.Println(askWith("POST", "http://"+addr, "Sec-Fetch-Site: cross-site"))
	// Output:
	// 200 hello
	// 403 Forbidden
}

func ExampleClientAddress() {
	proxies, err := middleware.ParsePrefixes("127.0.0.1", "10.0.0.0/8")
	if err != nil {
		panic(err)
	}
	find := middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: proxies})
	addr, stop := start(find(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		fmt.Fprint(w, r.ClientAddr())
	})))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr, "X-Forwarded-For: 6.6.6.6, 198.51.100.7"))
	// Output:
	// 200 198.51.100.7
}

func ExampleRateLimit() {
	limit := middleware.RateLimit(middleware.RateLimitConfig{Requests: 2, Per: time.Minute})
	addr, stop := start(limit(hello))
	defer stop()
	for range 3 {
		fmt.Println(askWith("GET", "http://"+addr))
	}
	// Output:
	// 200 hello
	// 200 hello
	// 429 Too Many Requests
}

func ExampleLoadShed() {
	protect := middleware.LoadShed(middleware.LoadShedConfig{MaxLag: 50 * time.Millisecond})
	addr, stop := start(protect(hello))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr))
	// Output:
	// 200 hello
}

func ExampleTimeout() {
	addr, stop := start(middleware.Timeout(10 * time.Millisecond)(server.BlockingFunc(
		func(w *server.Response, r *server.Request) { <-r.Context().Done() },
	)))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr))
	// Output:
	// 503 Service Unavailable
}

func ExampleReadiness() {
	connected := func() error { return nil } // as a goroutine that watches the database has left it
	addr, stop := start(middleware.Readiness(connected))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr))
	// Output:
	// 200 ready
}

func ExampleAlive() {
	addr, stop := start(middleware.Alive())
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr))
	// Output:
	// 200 alive
}

func ExampleSessions() {
	type cart struct{ Items int }
	sessions := middleware.NewSessions[cart](middleware.SessionConfig{
		Keys: [][]byte{[]byte("32 random bytes, from a secret..")},
	})
	addr, stop := start(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		s, ok := sessions.Get(r)
		if !ok {
			s, _ = sessions.Start(w, cart{})
		}
		s.Value.Items++
		if _, err := sessions.Save(w, s); err != nil {
			w.Error(500)
			return
		}
		fmt.Fprintf(w, "%d in the cart", s.Value.Items)
	}))
	defer stop()
	res, err := http.Get("http://" + addr)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	cookie := res.Cookies()[0]
	fmt.Println(cookie.Name, cookie.Secure, cookie.HttpOnly)
	fmt.Println(askWith("GET", "http://"+addr, "Cookie: "+cookie.Name+"="+cookie.Value))
	// Output:
	// __Host-session true true
	// 200 2 in the cart
}

func ExampleDefault() {
	log := server.Zerolog(zerolog.New(server.NewLogWriter(io.Discard))) // os.Stderr in a program
	stack := middleware.Default(middleware.DefaultConfig{Log: log})
	addr, stop := start(stack(server.HandlerFunc(func(w *server.Response, r *server.Request) { panic("a bug") })))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr))
	// Output:
	// 500 Internal Server Error
}

func ExampleCORS() {
	share := middleware.CORS(middleware.CORSConfig{Origins: []string{"https://app.example.com"}})
	addr, stop := start(share(hello))
	defer stop()
	req, _ := http.NewRequest("GET", "http://"+addr, nil)
	req.Header.Set("Origin", "https://app.example.com")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	res.Body.Close()
	fmt.Println(res.Header.Get("Access-Control-Allow-Origin"), res.Header.Get("Vary"))
	// Output:
	// https://app.example.com Origin
}

func ExampleSecureHeaders() {
	addr, stop := start(middleware.SecureHeaders(middleware.SecureHeadersConfig{FrameOptions: "SAMEORIGIN"})(hello))
	defer stop()
	res, err := http.Get("http://" + addr)
	if err != nil {
		panic(err)
	}
	res.Body.Close()
	fmt.Println(res.Header.Get("X-Frame-Options"), res.Header.Get("X-Content-Type-Options"))
	// Output:
	// SAMEORIGIN nosniff
}

func ExampleCacheControl() {
	addr, stop := start(middleware.CacheControl("no-store")(hello))
	defer stop()
	res, err := http.Get("http://" + addr)
	if err != nil {
		panic(err)
	}
	res.Body.Close()
	fmt.Println(res.Header.Get("Cache-Control"))
	// Output:
	// no-store
}

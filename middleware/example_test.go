package middleware_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"microhttp/middleware"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// Middleware of one's own: what needs the answer is left with OnDone, and so works for whatever is
// behind it, as here for a handler that blocks.
func Example() {
	statuses := make(chan string, 1)
	count := func(next server.Handler) server.Handler {
		told := func(w *server.Response, r *server.Request) { // once, not for each request: it captures nothing of it
			statuses <- fmt.Sprintf("%s %s %d", r.Method(), r.Path(), w.Status())
		}
		return server.HandlerFunc(func(w *server.Response, r *server.Request) {
			w.OnDone(told)
			next.Serve(w, r)
			// Here a handler that blocks has not even begun, and w.Status() would be 200.
		})
	}
	addr, stop := start(count(server.BlockingFunc(func(w *server.Response, r *server.Request) { w.Error(404) })))
	defer stop()
	get(addr, "")
	fmt.Println(<-statuses)
	// Output:
	// GET / 404
}

func ExampleRecover() {
	addr, stop := start(middleware.Recover(server.Zerolog(zerolog.Nop()))(server.HandlerFunc(
		func(w *server.Response, r *server.Request) { panic("a bug") },
	)))
	defer stop()
	fmt.Println(get(addr, ""))
	// Output:
	// 500 Internal Server Error
}

func ExampleRequestID() {
	addr, stop := start(middleware.RequestID(server.HandlerFunc(
		func(w *server.Response, r *server.Request) {
			fmt.Fprintf(w, "you are %s", middleware.GetRequestID(w))
		},
	)))
	defer stop()
	fmt.Println(get(addr, "order-66"))
	// Output:
	// 200 you are order-66
}

func ExampleGetRequestID() {
	addr, stop := start(middleware.RequestID(server.HandlerFunc(
		func(w *server.Response, r *server.Request) {
			fmt.Fprintf(w, "%d digits", len(middleware.GetRequestID(w)))
		},
	)))
	defer stop()
	fmt.Println(get(addr, ""))
	// Output:
	// 200 32 digits
}

func ExampleAccessLog() {
	out, lines := io.Pipe()
	log := server.Zerolog(zerolog.New(lines))
	addr, stop := start(middleware.AccessLog(middleware.AccessLogConfig{Log: log})(server.HandlerFunc(
		func(w *server.Response, r *server.Request) { w.WriteString("hello") },
	)))
	defer stop()
	go get(addr, "")
	var line struct {
		Method, Path  string
		Status, Bytes int
	}
	_ = json.NewDecoder(out).Decode(&line)
	fmt.Printf("%+v\n", line)
	// Output:
	// {Method:GET Path:/ Status:200 Bytes:5}
}

// get asks for / and returns the status and the body.
func get(addr, id string) string {
	req, _ := http.NewRequest("GET", "http://"+addr+"/", nil)
	if id != "" {
		req.Header.Set("X-Request-Id", id)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(body))
}

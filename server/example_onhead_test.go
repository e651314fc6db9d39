package server_test

import (
	"bytes"
	"fmt"
	"net/http"

	"microhttp/server"
)

// A middleware that has the last word on the fields of every answer.
func ExampleResponse_OnHead() {
	noSniff := server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnHead(func(w *server.Response, _ *server.Request) {
			w.SetHeader("X-Content-Type-Options", "nosniff")
			if w.Status() >= 400 {
				w.SetHeader("Cache-Control", "no-store")
			}
		})
		next.Serve(w, r)
	})
	url, end := serve(noSniff(server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.Error(404) })))
	defer end()

	res, err := http.Get(url)
	if err != nil {
		fmt.Println(err)
		return
	}
	res.Body.Close()
	fmt.Println(res.StatusCode, res.Header["X-Content-Type-Options"], res.Header["Cache-Control"])
	// Output: 404 [nosniff] [no-store]
}

// A filter that transforms the content, however the handler gives it.
func ExampleResponse_Filter() {
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.Filter(func(dst, p []byte, last bool) ([]byte, error) {
			dst = append(dst, bytes.ToUpper(p)...)
			if last {
				dst = append(dst, '!')
			}
			return dst, nil
		})
		w.WriteString("hello")
	}))
	defer end()
	get(url)
	// Output: 200 HELLO!
}

package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"microhttp/server"
)

// Content that can be asked for in parts, and by conditions.
func ExampleServeContent() {
	modtime := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.SetHeader("ETag", `"v1"`)
		server.ServeContent(w, r, "greeting.txt", modtime, strings.NewReader("Hello, ranges!"))
	}))
	defer end()
	for _, field := range [][2]string{{"Range", "bytes=7-12"}, {"If-None-Match", `"v1"`}, {"Range", "bytes=99-"}} {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set(field[0], field[1])
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Printf("%d %s %q\n", res.StatusCode, res.Header["Content-Range"], body)
	}
	// Output:
	// 206 [bytes 7-12/14] "ranges"
	// 304 [] ""
	// 416 [bytes */14] "Range Not Satisfiable\n"
}

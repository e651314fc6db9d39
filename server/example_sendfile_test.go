package server_test

import (
	"os"

	"microhttp/server"
)

// A file that is opened for one answer is closed when that is done.
func ExampleResponse_SendFile() {
	path := "testdata/greeting.txt"
	url, end := serve(server.BlockingFunc(func(w *server.Response, r *server.Request) {
		f, err := os.Open(path)
		if err != nil {
			w.Error(404)
			return
		}
		w.OnDone(func(*server.Response, *server.Request) { f.Close() })
		w.SendFile(f, 0, 5)
	}))
	defer end()
	get(url)
	path = "testdata/missing"
	get(url)
	// Output:
	// 200 Hello
	// 404 Not Found
}

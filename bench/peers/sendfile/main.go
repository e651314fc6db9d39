// Command sendfile answers with files that it has open, by Response.SendFile. It takes a directory, listens on a free loopback
// port, prints the address, and serves until it is killed.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"microhttp/server"
)

func main() {
	type file struct {
		*os.File
		size int64
	}
	files := map[string]file{}
	paths, err := filepath.Glob(filepath.Join(os.Args[1], "*"))
	if err != nil {
		log.Fatal(err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			log.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			log.Fatal(err)
		}
		files["/"+filepath.Base(path)] = file{f, info.Size()}
	}
	s := server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: server.HandlerFunc(func(w *server.Response, r *server.Request) {
		f, ok := files[string(r.PeekEscapedPath())]
		if !ok {
			w.Error(404)
			return
		}
		w.SetHeader("Content-Type", "application/octet-stream")
		w.SendFile(f.File, 0, f.size)
	})}
	addr, err := s.Listen()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", addr)
	log.Fatal(s.Run())
}

package main

import (
	"crypto/sha256"
	"fmt"
	"io"

	"microhttp/server"
)

// upload answers with the number of bytes of the body and their SHA-256, in one line. It takes the body as it comes, on
// the loop, so an upload of any size needs no memory. A piece is at most the 64 KiB of one read, which is hashed in some
// 50 µs; work that takes longer would belong in a Blocking handler, with BodyReader.
func upload(w *server.Response, r *server.Request) {
	sum, n := sha256.New(), int64(0)
	r.OnBody(func(p []byte, err error) {
		sum.Write(p)
		n += int64(len(p))
		if err == io.EOF { // with any other error the server answers, if there is a peer left
			setText(w)
			_, _ = fmt.Fprintf(w, "%d %x\n", n, sum.Sum(nil)) // fails only when the peer is gone
		}
	})
}

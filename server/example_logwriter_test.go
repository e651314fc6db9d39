package server_test

import (
	"bytes"
	"fmt"
	"time"

	"microhttp/server"

	"github.com/rs/zerolog"
)

// A logger of a program's own, for its handlers and for the server: its lines are written in the background.
func ExampleLogWriter() {
	var file bytes.Buffer // in a program: os.Stderr, or a file
	out := server.NewLogWriter(&file)
	log := zerolog.New(out)
	s := &server.Server{Addr: "127.0.0.1:0", Log: server.Zerolog(log)}

	log.Info().Str("addr", s.Addr).Msg("about to listen")

	if !out.Flush(time.Second) {
		fmt.Println("the log is stuck")
	}
	fmt.Print(file.String())
	fmt.Println(out.Dropped(), "lines dropped")
	// Output:
	// {"level":"info","addr":"127.0.0.1:0","message":"about to listen"}
	// 0 lines dropped
}

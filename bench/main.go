// Command bench measures what an answer costs: CPU time, memory, system calls, and what is left behind by clients
// that misbehave. It starts servers, loads them over loopback, stops them, and prints Markdown.
//
// The machines that it runs on are noisy, so it never compares two absolute figures: servers are taken in turn, and
// each figure is a ratio to a minimal C server that ran just before and just after. It runs on Linux only, and it
// measures the program as users run it: a process of its own, not a library linked into the tool.
//
//	go run . plaintext      CPU time per request
//	go run . echo           CPU time per message of an echo server on the reactor alone
//	go run . ws             CPU time per WebSocket message, and memory of an idle WebSocket
//	go run . routes         CPU time per request among two hundred routes
//	go run . static         CPU time per file
//	go run . readers        memory while a hundred readers download a large file
//	go run . idle           memory of an idle keep-alive connection
//	go run . syscalls       system calls per request, and at rest
//	go run . abuse          do descriptors come back after a storm of broken clients?
//	go run . slow           what do connections cost that send a byte a second?
//	go run . hostile        what do hostile connections cost the others?
//	go run . unfinished     what do TLS handshakes that are never finished cost the others?
//	go run . proxies        does each request get its own answer through nginx and HAProxy?
//
// README.md says what each number means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// A subcommand is one kind of measurement: what it says in the usage, and the function that does it all.
type subcommand struct {
	name  string
	about string
	run   func(ctx context.Context, args []string, stdout io.Writer) error
}

var subcommands = []subcommand{
	{"plaintext", "CPU time per request, as a ratio to a minimal C epoll server", plaintext},
	{"echo", "CPU time per echoed message of the reactor alone, as a ratio to a minimal C epoll server", echo},
	{"static", "CPU time per file of 64 KiB and 1 MiB, as a ratio to a minimal C sendfile server", static},
	{"readers", "memory while a hundred readers download a large file, and resume it", readers},
	{"ws", "CPU time per echoed WebSocket message, as a ratio to an echo of the reactor alone, and memory when idle", ws},
	{"routes", "CPU time per request with two parameters among 200 routes, as a ratio to one without", routed},
	{"idle", "memory of an idle keep-alive connection", idle},
	{"tls", "CPU time per request and per handshake over TLS, as a ratio to net/http", tlsRequests},
	{"tlsidle", "memory of connections over TLS: idle, after an upload, in a handshake, of a reader that does not read", tlsIdle},
	{"syscalls", "system calls per request under load, and wake-ups at rest", syscalls},
	{"abuse", "descriptors and errors during and after a storm of broken clients", abuse},
	{"hostile", "what 1,000 hostile connections a second cost those who behave", hostile},
	{"slow", "what 10,000 connections that send a byte a second cost those who behave", slow},
	{"unfinished", "what 2,000 TLS handshakes that are begun and never finished cost those who behave", unfinished},
	{"proxies", "does each request get its own answer through nginx and HAProxy?", proxies},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		usage(os.Stderr)
		return errors.New("which measurement?")
	}
	if args[0] == crew { // of slow: a process of its own
		return crewMain(ctx, args[1:], os.Stdout)
	}
	for _, s := range subcommands {
		if s.name != args[0] {
			continue
		}
		err := s.run(ctx, args[1:], os.Stdout)
		if err != nil && ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return err
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		usage(os.Stdout)
		return nil
	}
	usage(os.Stderr)
	return fmt.Errorf("no measurement is named %q", args[0])
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Measures HTTP/1.1 servers on loopback. Run it inside bench/:\n\n")
	for _, s := range subcommands {
		fmt.Fprintf(w, "  go run . %-10s %s\n", s.name, s.about)
	}
	fmt.Fprint(w, "\nEach has -h. The servers:\n\n")
	for _, s := range httpServers {
		fmt.Fprintf(w, "  %-10s %s\n", s.name, s.about)
	}
	fmt.Fprint(w, "\nIt needs Linux, Go, gcc and taskset; wrk for plaintext and syscalls; strace for syscalls.\n")
}

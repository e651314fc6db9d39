// Microhttp serves HTTP/1.1 from event loops. The command serve serves the files of a directory:
//
//	microhttp serve -addr 127.0.0.1:8080 public
//
// The command demo serves a set of routes that show what the server can do and give curl and wrk something to talk to:
//
//	microhttp demo -addr 127.0.0.1:8080
//	curl -i http://127.0.0.1:8080/
//
// It listens on a Unix socket too, and on the sockets that systemd has opened for it:
//
//	microhttp demo -addr unix:/tmp/x.sock
//	curl -i --unix-socket /tmp/x.sock http://localhost/
//
//	systemd-socket-activate -l 8080 -l /tmp/x.sock microhttp demo -addr systemd
//
// It exits with status 0 when it was told to stop or asked for help, 1 when it could not
// serve or was told twice, 2 when it was called wrongly.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// The statuses that the program exits with.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program: args are those behind its name, and the result is its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "demo":
		return runDemo(args[1:], stdout, stderr)
	case "serve":
		return runServe(args[1:], stdout, stderr)
	case "version", "-version", "--version":
		return runVersion(args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		return runHelp(args[1:], stdout, stderr)
	}
	return misuse(stderr, "microhttp", fmt.Errorf("unknown command %q", args[0]))
}

func runHelp(args []string, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 0:
		fmt.Fprint(stdout, usage)
		return exitOK
	case len(args) == 1 && args[0] == "demo":
		return runDemo([]string{"-h"}, stdout, stderr)
	case len(args) == 1 && args[0] == "serve":
		return runServe([]string{"-h"}, stdout, stderr)
	}
	return misuse(stderr, "microhttp", fmt.Errorf("no help on %q", strings.Join(args, " ")))
}

// misuse says in one line what is wrong with how the program was called.
func misuse(stderr io.Writer, command string, err error) int {
	fmt.Fprintf(stderr, "%s: %v; see %[1]s -h\n", command, err)
	return exitUsage
}

const usage = `Microhttp serves HTTP/1.1 from event loops.

Usage:

  microhttp serve [flags] [directory]   serve the files of a directory
  microhttp demo [flags]                serve routes that show what the server can do
  microhttp version                     say what this program was built from
  microhttp help [command]              explain the program, or a command and its flags
`

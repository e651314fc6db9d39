package main

import "os"

func Example() {
	run([]string{"help"}, os.Stdout, os.Stderr)
	// Output:
	// Microhttp serves HTTP/1.1 from event loops.
	//
	// Usage:
	//
	//   microhttp demo [flags]     serve routes that show what the server can do
	//   microhttp help [command]   explain the program, or a command and its flags
}

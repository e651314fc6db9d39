package main

import "os"

func Example() {
	run([]string{"help"}, os.Stdout, os.Stderr)
	// Output:
	// Microhttp serves HTTP/1.1 from event loops.
	//
	// Usage:
	//
	//   microhttp serve [flags] [directory]   serve the files of a directory
	//   microhttp demo [flags]                serve routes that show what the server can do
	//   microhttp version                     say what this program was built from
	//   microhttp help [command]              explain the program, or a command and its flags
}

package server

import (
	"fmt"
	"os"
	"runtime/debug"
)

// Conversations are what the tests in package server_test send, too.
var Conversations = conversations

// In every test of this package, simulated worlds and fuzzing among them, a connection that stands where it cannot ends
// the program: loops catch panics, and such a one could pass unseen.
func init() {
	panics := never
	never = func(c *conn) {
		defer func() {
			fmt.Fprintf(os.Stderr, "%v\n%s", recover(), debug.Stack())
			os.Exit(3)
		}()
		panics(c)
	}
}

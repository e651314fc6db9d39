package reactor

// Which goroutine is the loop.

import (
	"bytes"
	"runtime"
	"strconv"
)

// InLoop reports whether the caller is on the loop: on the goroutine that is in Run, Iterate or Close. It is for what would
// wait for the loop, and on the loop for itself. Where no goroutine is in it, as before Run, it is false. It may be called from any
// goroutine. It takes about a microsecond, so do not ask for each request. It is Twisted's isInIOThread.
func (r *Reactor) InLoop() bool {
	id := r.goroutine.Load()
	return id != 0 && id == goroutineID()
}

// goroutineID is the number of the calling goroutine, as stacks show it.
func goroutineID() uint64 {
	var buf [64]byte
	fields := bytes.Fields(buf[:runtime.Stack(buf[:], false)]) // goroutine 7 [running]: …
	if len(fields) < 2 {
		return 0
	}
	id, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return id
}

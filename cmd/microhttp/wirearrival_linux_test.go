package main

import (
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// Pieces that are written one behind the other arrive as one read, unless the writer waits for
// the reader. The server runs in this process, so its end of the connection is a descriptor of
// ours, and what it has not read yet can be asked for.

// mostLooks bounds the wait for a server that has paused reading: it will go on when its answer
// is out, with the pieces joined.
const mostLooks = 10_000

// watchArrival returns a function that waits until the server has read all that was written to c,
// or the client has left.
func watchArrival(c *net.TCPConn, left <-chan struct{}) func() {
	port := c.LocalAddr().(*net.TCPAddr).Port
	fd := -1
	return func() {
		for range mostLooks {
			select {
			case <-left:
				return
			default:
			}
			if fd < 0 {
				fd = findPeer(port) // it may not be accepted yet
			} else if n, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err != nil || n == 0 || !isPeer(fd, port) {
				return
			}
			runtime.Gosched()
		}
	}
}

// mostDescriptors is where the search for the server's descriptor ends: a test has few.
const mostDescriptors = 128

func findPeer(port int) int {
	for fd := range mostDescriptors {
		if isPeer(fd, port) {
			return fd
		}
	}
	return -1
}

// isPeer reports whether fd is a socket that is connected to the port on loopback.
func isPeer(fd, port int) bool {
	sa, err := unix.Getpeername(fd)
	in, ok := sa.(*unix.SockaddrInet4)
	return err == nil && ok && in.Port == port
}

package reactor

// Who is at the other end of a Unix socket. The kernel knows the path and the process; a connection asks it when asked
// itself, so that an idle one holds nothing.

import "fmt"

// A UnixPeer is the other end of a Unix socket.
type UnixPeer struct {
	// Path is what the peer's socket is bound to, "@name" for one in Linux's abstract namespace. It is empty for most
	// clients, which bind theirs to nothing.
	Path string

	// PID, UID and GID are the process and its effective user and group, as they were when it connected or began to listen.
	// -1 is unknown: no system but Linux, macOS and FreeBSD tells the user and the group, and FreeBSD does not tell the
	// process. A process that Linux cannot name, since it lives in another PID namespace, is 0.
	PID, UID, GID int
}

// String gives the path, or the process and its user where there is none.
func (p UnixPeer) String() string {
	if p.Path != "" {
		return p.Path
	}
	return fmt.Sprintf("pid %d uid %d", p.PID, p.UID)
}

package reactor

// Sockets that a service manager has opened for us, by the protocol of sd_listen_fds(3): LISTEN_FDS descriptors from 3 on,
// meant for the process LISTEN_PID, with names in LISTEN_FDNAMES.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	firstListenFD = 3

	// listenFDs bounds how many descriptors are believed.
	listenFDs = 1 << 16
)

// A ListenedFD is a socket that the service manager has opened.
type ListenedFD struct {
	FD   int
	Name string // FileDescriptorName= of the unit; "unknown" if there is none
}

// ListenFDs returns the sockets that systemd, or a program with its protocol, has passed to this process, for ListenFD; none
// if it was not started that way. The descriptors are closed on exec from now on, and the variables are taken out of the
// environment, so that no child takes them for its own; a second call finds nothing.
func ListenFDs() ([]ListenedFD, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if pid != strconv.Itoa(os.Getpid()) || count == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > listenFDs {
		return nil, fmt.Errorf("reactor: LISTEN_FDS is %q", count)
	}
	return listenedFDs(firstListenFD, n, names), nil
}

// listenedFDs names n descriptors from first on.
func listenedFDs(first, n int, names string) []ListenedFD {
	all := make([]ListenedFD, n)
	list := strings.Split(names, ":")
	for i := range all {
		all[i] = ListenedFD{FD: first + i, Name: "unknown"}
		if len(list) == n && list[i] != "" {
			all[i].Name = list[i]
		}
		syscall.CloseOnExec(all[i].FD)
	}
	return all
}

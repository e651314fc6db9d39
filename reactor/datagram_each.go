//go:build unix && (!linux || race)

package reactor

// Batches of datagrams where the system has no call for them: one message at a time. Linux does so under the race detector,
// which is to see the kernel's reads and writes.

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func (kernel) Receive(fd int, batch []Datagram) (int, syscall.Errno) {
	for i := range batch {
		d := &batch[i]
		n, _, flags, from, err := unix.Recvmsg(fd, d.Bytes, nil, unix.MSG_DONTWAIT)
		if err != nil {
			if i > 0 {
				return i, 0 // an error that was waiting has been taken; such are rare, and about datagrams long gone
			}
			return 0, errnoOf(err)
		}
		*d = Datagram{Bytes: d.Bytes[:n], Addr: addrPort(from), Truncated: flags&unix.MSG_TRUNC != 0}
	}
	return len(batch), 0
}

func (kernel) Send(fd int, batch []Datagram) (int, syscall.Errno) {
	for i, d := range batch {
		if err := sendOne(fd, d); err != nil {
			if i > 0 {
				return i, 0 // it will be the first of the next batch
			}
			return 0, errnoOf(err)
		}
	}
	return len(batch), 0
}

func sendOne(fd int, d Datagram) error {
	if !d.Addr.IsValid() {
		return unix.Send(fd, d.Bytes, unix.MSG_DONTWAIT)
	}
	to, err := sockaddr(d.Addr)
	if err != nil {
		return err
	}
	return unix.Sendto(fd, d.Bytes, unix.MSG_DONTWAIT, to)
}

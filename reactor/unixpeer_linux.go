package reactor

import "golang.org/x/sys/unix"

// credentials fills in what the kernel says of the process at the other end.
func (p *UnixPeer) credentials(fd int) error {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil {
		p.PID, p.UID, p.GID = int(c.Pid), int(c.Uid), int(c.Gid)
	}
	return err
}

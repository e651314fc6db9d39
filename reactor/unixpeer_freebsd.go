package reactor

import "golang.org/x/sys/unix"

// credentials fills in what the kernel says of the process at the other end.
func (p *UnixPeer) credentials(fd int) error {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err == nil {
		p.UID, p.GID = int(c.Uid), int(c.Groups[0])
	}
	return err
}

//go:build linux || darwin || freebsd

package reactor

// IPv4 groups where an interface is named by its index.

import "golang.org/x/sys/unix"

func group4(fd int, o MulticastOptions) error {
	mreq := unix.IPMreqn{Ifindex: int32(o.Interface)}
	if o.Do == SetInterface {
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &mreq)
	}
	mreq.Multiaddr = o.Group.As4()
	if o.Do == LeaveGroup {
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_DROP_MEMBERSHIP, &mreq)
	}
	return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &mreq)
}

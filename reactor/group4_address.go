//go:build unix && !linux && !darwin && !freebsd

package reactor

// IPv4 groups where an interface is named by its first IPv4 address.

import (
	"net"

	"golang.org/x/sys/unix"
)

func group4(fd int, o MulticastOptions) error {
	iface, err := interface4(o.Interface)
	if err != nil {
		return err
	}
	if o.Do == SetInterface {
		return unix.SetsockoptInet4Addr(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, iface)
	}
	mreq := unix.IPMreq{Multiaddr: o.Group.As4(), Interface: iface}
	if o.Do == LeaveGroup {
		return unix.SetsockoptIPMreq(fd, unix.IPPROTO_IP, unix.IP_DROP_MEMBERSHIP, &mreq)
	}
	return unix.SetsockoptIPMreq(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &mreq)
}

// interface4 is the first IPv4 address of an interface; the zero address lets the kernel choose.
func interface4(index int) (ip [4]byte, err error) {
	if index == 0 {
		return ip, nil
	}
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return ip, err
	}
	addrs, err := i.Addrs()
	if err != nil {
		return ip, err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return [4]byte(n.IP.To4()), nil
		}
	}
	return ip, unix.EADDRNOTAVAIL
}

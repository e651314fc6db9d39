package reactor

import "golang.org/x/sys/unix"

// onlyJoined keeps from a socket what is sent to groups that others on this machine have joined, and it has not. Linux
// hands it over unless told otherwise; a kernel that cannot be told (IPv6 before 4.20) goes on doing so.
func onlyJoined(fd int, is6 bool) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	if is6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	}
}

package reactor

// Multicast: groups of UDP ports. A port receives what is sent to the groups that it has joined, and needs to join none to
// send to one.

import (
	"net"
	"net/netip"
)

// JoinGroup has the port receive what is sent to the group on the named interface; "" lets the kernel choose one. The
// port must be bound to the group's port number, and be Shared if other sockets of this machine are to receive it, too.
// It returns net.ErrClosed, an error that names the interface, or the errno: EADDRINUSE if the port is in the group
// already, EINVAL if that is no group.
func (p *UDPPort) JoinGroup(group netip.Addr, iface string) error {
	return p.multicast(JoinGroup, group, iface, 0)
}

// LeaveGroup undoes JoinGroup, which was given the same arguments. Closing the port leaves all groups.
func (p *UDPPort) LeaveGroup(group netip.Addr, iface string) error {
	return p.multicast(LeaveGroup, group, iface, 0)
}

// SetMulticastInterface says by which interface the port sends to groups; "" lets the kernel choose, as it does by default.
func (p *UDPPort) SetMulticastInterface(iface string) error {
	return p.multicast(SetInterface, netip.Addr{}, iface, 0)
}

// SetMulticastTTL says how many routers what the port sends to groups may pass, 0 to 255. The default is 1: it stays in the
// local network.
func (p *UDPPort) SetMulticastTTL(ttl int) error {
	return p.multicast(SetTTL, netip.Addr{}, "", ttl)
}

// SetMulticastLoopback says whether members on this machine, the port itself among them, receive what the port sends to
// groups. By default they do.
func (p *UDPPort) SetMulticastLoopback(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return p.multicast(SetLoopback, netip.Addr{}, "", value)
}

func (p *UDPPort) multicast(do MulticastVerb, group netip.Addr, iface string, value int) error {
	if p.closed {
		return net.ErrClosed
	}
	index := 0
	if iface != "" {
		i, err := net.InterfaceByName(iface)
		if err != nil {
			return err
		}
		index = i.Index
	}
	return p.r.sys.Multicast(p.fd, MulticastOptions{Do: do, Group: group.Unmap(), Interface: index, Value: value})
}

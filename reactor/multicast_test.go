package reactor

import (
	"errors"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Groups of datagram receivers, of both families.

// Two members of a group both receive what is sent to it, until one leaves.
func TestMulticast(t *testing.T) {
	for _, family := range []struct {
		bind, group, iface string
		routed             bool // loopback carries groups of IPv4 only: for IPv6 the kernel's word is all there is
	}{
		{"0.0.0.0:0", "239.255.77.1", "lo", true},
		{"[::]:0", "ff11::77:1", "lo", false},
	} {
		l := start(t, Config{})
		a, b := newDatagramRecorder(), newDatagramRecorder()
		pa := l.listenUDP(family.bind, a, &UDPOptions{Shared: true})
		bind := netip.AddrPortFrom(pa.Addr().Addr(), pa.Addr().Port()).String()
		pb := l.listenUDP(bind, b, &UDPOptions{Shared: true})
		group := netip.MustParseAddr(family.group)
		to := netip.AddrPortFrom(group, pa.Addr().Port())
		var errs []error
		l.do(func() {
			errs = []error{
				pa.JoinGroup(group, family.iface), pb.JoinGroup(group, family.iface),
				pa.SetMulticastInterface(family.iface), pa.SetMulticastTTL(1), pa.SetMulticastLoopback(true),
			}
			if family.routed {
				pa.WriteTo([]byte("one"), to)
			}
		})
		if err := errors.Join(errs...); err != nil {
			t.Skipf("no multicast on %s here: %v", family.iface, err)
		}
		if !family.routed {
			l.do(func() { errs = []error{pa.JoinGroup(group, family.iface), pa.LeaveGroup(group, family.iface)} })
			if !errors.Is(errs[0], syscall.EADDRINUSE) || errs[1] != nil {
				t.Errorf("joined twice: %v; left: %v", errs[0], errs[1])
			}
			continue
		}
		for _, d := range []*datagramRecorder{a, b} {
			if got := receive(t, d.got, "a datagram of the group"); got != "one" {
				t.Errorf("got %q", got)
			}
		}
		l.do(func() {
			if err := pa.JoinGroup(group, family.iface); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("joined twice: %v", err)
			}
			errs = []error{pb.LeaveGroup(group, family.iface)}
			pa.WriteTo([]byte("two"), to)
			errs = append(errs, pa.JoinGroup(group, "no such interface"), pa.SetMulticastTTL(256))
		})
		if got := receive(t, a.got, "a datagram of the group"); got != "two" {
			t.Errorf("got %q", got)
		}
		l.do(func() { // the loopback device brings everything back, so the option is all that can be seen
			errs = append(errs, pa.SetMulticastLoopback(false))
			if on, err := unix.GetsockoptInt(pa.FD(), unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP); on != 0 || err != nil {
				t.Errorf("loopback is %d, %v", on, err)
			}
			if len(b.got) != 0 {
				t.Error("a datagram came after LeaveGroup")
			}
		})
		if errs[0] != nil || errs[1] == nil || errs[2] == nil || errs[3] != nil {
			t.Errorf("errors: %v", errs)
		}
		l.stop()
	}
}

// What is said of groups holds for both families when the port is of both.
func TestMulticastOfBothFamilies(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere IPv6 sockets may not have options of IPv4")
	}
	l := start(t, Config{})
	p := l.listenUDP(":0", newDatagramRecorder(), nil)
	if !p.Addr().Addr().Is6() {
		t.Skip("no IPv6 here")
	}
	l.do(func() {
		if err := errors.Join(p.SetMulticastTTL(7), p.SetMulticastLoopback(false)); err != nil {
			t.Error(err)
		}
		for _, o := range []struct{ level, name, want int }{
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 7},
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 7},
			{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
		} {
			if got, err := unix.GetsockoptInt(p.FD(), o.level, o.name); got != o.want || err != nil {
				t.Errorf("option %d of %d is %d, %v", o.name, o.level, got, err)
			}
		}
	})
}

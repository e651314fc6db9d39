//go:build linux && !race

package reactor

// Batches of datagrams as Linux moves them: many in one system call, which cannot sleep and is made without telling the
// scheduler, as those in raw_linux.go.

import (
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An mmsghdr is one message of sendmmsg(2) and recvmmsg(2).
type mmsghdr struct {
	head unix.Msghdr
	size uint32
}

// A messages is a batch as the kernel has it.
type messages struct {
	headers [datagramsPerTick]mmsghdr
	pieces  [datagramsPerTick]unix.Iovec
	names   [datagramsPerTick]unix.RawSockaddrInet6 // has room for IPv4 too
}

// messagesPool is there because a value that points into itself cannot live on the stack.
var messagesPool = sync.Pool{New: func() any { return new(messages) }}

// lay describes one datagram's bytes.
func (m *messages) lay(i int, b []byte) {
	m.pieces[i].Base = unsafe.SliceData(b)
	m.pieces[i].SetLen(len(b))
	m.headers[i].head.Iov = &m.pieces[i]
	m.headers[i].head.SetIovlen(1)
	m.headers[i].head.Name, m.headers[i].head.Namelen = nil, 0
}

func (kernel) Receive(fd int, batch []Datagram) (int, syscall.Errno) {
	m := messagesPool.Get().(*messages)
	defer messagesPool.Put(m)
	batch = batch[:min(len(batch), datagramsPerTick)]
	for i := range batch {
		m.lay(i, batch[i].Bytes)
		m.headers[i].head.Name = (*byte)(unsafe.Pointer(&m.names[i]))
		m.headers[i].head.Namelen = uint32(unsafe.Sizeof(m.names[i]))
	}
	got, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.headers)),
		uintptr(len(batch)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	n := int(got)
	for i := range batch[:n] {
		h := &m.headers[i]
		batch[i] = Datagram{
			Bytes: batch[i].Bytes[:h.size], Addr: rawAddrPort(&m.names[i]), Truncated: h.head.Flags&unix.MSG_TRUNC != 0,
		}
	}
	return n, 0
}

func (kernel) Send(fd int, batch []Datagram) (int, syscall.Errno) {
	m := messagesPool.Get().(*messages)
	defer messagesPool.Put(m)
	batch = batch[:min(len(batch), datagramsPerTick)]
	for i := range batch {
		m.lay(i, batch[i].Bytes)
		if to := batch[i].Addr; to.IsValid() {
			size, err := putSockaddr(&m.names[i], to)
			if err != nil {
				if i > 0 {
					batch = batch[:i] // those before it; it will be the first of the next
					break
				}
				return 0, errnoOf(err)
			}
			m.headers[i].head.Name = (*byte)(unsafe.Pointer(&m.names[i]))
			m.headers[i].head.Namelen = size
		}
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.headers)),
		uintptr(len(batch)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// putSockaddr writes an address as the kernel wants it and returns its size.
func putSockaddr(sa *unix.RawSockaddrInet6, to netip.AddrPort) (uint32, error) {
	ip := to.Addr()
	if ip.Is4() {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*sa4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: netOrder(to.Port()), Addr: ip.As4()}
		return unix.SizeofSockaddrInet4, nil
	}
	zone, err := zoneID(ip.Zone())
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: netOrder(to.Port()), Addr: ip.As16(), Scope_id: zone}
	return unix.SizeofSockaddrInet6, err
}

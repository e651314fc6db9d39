//go:build unix

package reactor

// Calls of the seam whose kernel side is on its way.

import (
	"net/netip"
	"syscall"
	"time"
)

func (kernel) Connect(Address, netip.AddrPort) (int, syscall.Errno) { return -1, syscall.ENOSYS }
func (kernel) ConnectError(int) syscall.Errno                       { return syscall.ENOSYS }
func (kernel) Adopt(int) (Address, netip.AddrPort, bool, error) {
	return Address{}, netip.AddrPort{}, false, syscall.ENOSYS
}
func (kernel) Writev(int, [][]byte) (int, syscall.Errno)           { return 0, syscall.ENOSYS }
func (kernel) SendFile(int, File, int64, int) (int, syscall.Errno) { return 0, syscall.ENOSYS }
func (kernel) SetNoDelay(int, bool) syscall.Errno                  { return syscall.ENOSYS }
func (kernel) SetKeepAlive(int, time.Duration, time.Duration, int) syscall.Errno {
	return syscall.ENOSYS
}
func (kernel) ListenDatagram(netip.AddrPort, DatagramOptions) (int, error) { return -1, syscall.ENOSYS }
func (kernel) ConnectDatagram(int, netip.AddrPort) syscall.Errno           { return syscall.ENOSYS }
func (kernel) Receive(int, []Datagram) (int, syscall.Errno)                { return 0, syscall.ENOSYS }
func (kernel) Send(int, []Datagram) (int, syscall.Errno)                   { return 0, syscall.ENOSYS }
func (kernel) Multicast(int, MulticastOptions) error                       { return syscall.ENOSYS }

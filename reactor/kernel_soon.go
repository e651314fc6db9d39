//go:build unix

package reactor

// Calls of the seam whose kernel side is on its way.

import (
	"net/netip"
	"syscall"
)

func (kernel) SendFile(int, File, int64, int) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func (kernel) ListenDatagram(netip.AddrPort, DatagramOptions) (int, error) { return -1, syscall.ENOSYS }
func (kernel) ConnectDatagram(int, netip.AddrPort) syscall.Errno           { return syscall.ENOSYS }
func (kernel) Receive(int, []Datagram) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func (kernel) Send(int, []Datagram) (int, syscall.Errno) { return 0, syscall.ENOSYS }
func (kernel) Multicast(int, MulticastOptions) error     { return syscall.ENOSYS }

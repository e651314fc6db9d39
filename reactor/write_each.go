//go:build unix && (!linux || race)

package reactor

// What raw_linux.go and sendcached_linux.go have, where nothing better is to be had. writev(2) is one write(2) for each piece:
// package unix has no Writev on all of the BSDs, and under the race detector package syscall, which orders memory, has
// none at all.

import "syscall"

// sysWriteMore is sysWrite here.
func sysWriteMore(fd int, p []byte) (int, syscall.Errno) { return sysWrite(fd, p) }

// warmth and sendCached are for Linux.
type warmth struct{}

func newWarmth() *warmth { return nil }

func (*warmth) sendCached(int, File, int, int64, int) (int, syscall.Errno, bool) { return 0, 0, false }

func sysWritev(fd int, pieces [][]byte) (int, syscall.Errno) {
	sent := 0
	for _, p := range pieces[:min(len(pieces), piecesPerWrite)] {
		n, errno := sysWrite(fd, p)
		sent += n
		if errno != 0 && sent == 0 {
			return 0, errno
		}
		if n < len(p) {
			break
		}
	}
	return sent, 0
}

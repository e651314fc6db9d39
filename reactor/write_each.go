//go:build unix && (!linux || race)

package reactor

// writev(2) as one write(2) for each piece, where nothing better is to be had: package unix has no Writev on all of the
// BSDs, and under the race detector package syscall, which orders memory, has none at all.

import "syscall"

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

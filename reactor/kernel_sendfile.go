//go:build unix

package reactor

// sendfile(2), through the ordinary path of system calls: it may sleep on the disk, and the scheduler must know. What is in
// memory goes another way, see sendcached_linux.go. The wrapper is that of package syscall, which orders memory for the
// race detector, see raw_race.go. What a system cannot send that way, such as a file that has no pages, is read and
// written.

import (
	"io"
	"syscall"

	"github.com/valyala/bytebufferpool"
)

// coldPiece is how much is sent at a time of what may have to be read from a disk, while the loop does nothing else.
const coldPiece = 256 << 10

// copySize is how much is read at a time, and copies the pool of the buffers for that.
const copySize = 64 << 10

var copies bytebufferpool.Pool

func (k kernel) SendFile(fd int, f File, offset int64, n int) (int, syscall.Errno) {
	from := f.Fd()
	if from == ^uintptr(0) {
		return copyFile(fd, f, offset, n)
	}
	if sent, errno, ok := k.warm.sendCached(fd, f, int(from), offset, n); ok && errno != syscall.EINVAL {
		return sent, errno
	}
	sent, err := syscall.Sendfile(fd, int(from), &offset, min(n, coldPiece))
	if sent > 0 {
		return sent, 0 // the BSDs may say EAGAIN as well
	}
	switch errno := errnoOf(err); errno {
	case syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.ENOTSOCK:
		return copyFile(fd, f, offset, n) // nothing was sent, so offset is what it was
	default:
		return 0, errno
	}
}

// copyFile is SendFile by read and write. What the socket does not take is read again the next time.
func copyFile(fd int, f File, offset int64, n int) (int, syscall.Errno) {
	b := copies.Get()
	defer copies.Put(b)
	if cap(b.B) < copySize {
		b.B = make([]byte, copySize)
	}
	p := b.B[:min(n, copySize)]
	m, err := f.ReadAt(p, offset)
	if m == 0 {
		if err == io.EOF {
			return 0, 0
		}
		return 0, errnoOf(err)
	}
	return sysWrite(fd, p[:m])
}

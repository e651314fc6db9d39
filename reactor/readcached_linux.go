package reactor

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

func readCached(f File, p []byte, offset int64) (int, error) {
	fd := f.Fd()
	if fd == ^uintptr(0) || len(p) == 0 {
		return 0, ErrNotCached
	}
	n, err := unix.Preadv2(int(fd), [][]byte{p}, offset, unix.RWF_NOWAIT)
	switch {
	case n > 0:
		return n, nil
	case err == nil:
		return 0, io.EOF
	}
	for _, errno := range [...]error{unix.EAGAIN, unix.EINTR, unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL} {
		if errors.Is(err, errno) {
			return 0, ErrNotCached
		}
	}
	return 0, err
}

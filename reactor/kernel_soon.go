//go:build unix

package reactor

// Calls of the seam whose kernel side is on its way.

import (
	"syscall"
)

func (kernel) SendFile(int, File, int64, int) (int, syscall.Errno) { return 0, syscall.ENOSYS }

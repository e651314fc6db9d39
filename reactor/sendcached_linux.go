//go:build linux && !race

package reactor

// A file that is in memory, which is the rule, is sent without telling the scheduler: sendfile(2) cannot sleep then. Told, the
// scheduler takes the loop's processor away after 20 µs and gives it back later, which costs half as much again as
// sending 64 KiB does. That all pages are there is asked by cachestat(2), of Linux 6.5, and that the last one has arrived by
// preadv2(2) with RWF_NOWAIT: pages that are still being read stand in the cache, too, and the last comes last. Both together
// take less than a microsecond.
//
// The answer may be wrong when it is used: pages are evicted meanwhile, or arrived in another order. Then the loop sleeps on
// the disk as it would otherwise, but with its processor, so other goroutines may wait along. Nothing else goes wrong.

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var pageSize = int64(os.Getpagesize())

// sendCached sends n bytes of a file if they are in memory. ok is false if they are not, or if the system cannot tell.
func sendCached(fd, from int, offset int64, n int) (sent int, errno syscall.Errno, ok bool) {
	if !cached(from, offset, int64(n)) {
		return 0, 0, false
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(fd), uintptr(from), uintptr(unsafe.Pointer(&offset)), uintptr(n), 0, 0)
	if errno != 0 {
		return 0, errno, true
	}
	return int(r), 0, true
}

func cached(from int, offset, n int64) bool {
	pages := uint64((offset+n-1)/pageSize - offset/pageSize + 1)
	span := unix.CachestatRange{Off: uint64(offset), Len: uint64(n)}
	var stat unix.Cachestat_t
	_, _, errno := syscall.RawSyscall6(unix.SYS_CACHESTAT, uintptr(from), uintptr(unsafe.Pointer(&span)), uintptr(unsafe.Pointer(&stat)), 0, 0, 0)
	if errno != 0 || stat.Cache < pages {
		return false
	}
	var last [1]byte
	list := unix.Iovec{Base: &last[0]}
	list.SetLen(1)
	at := offset + n - 1
	got, _, errno := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(from), uintptr(unsafe.Pointer(&list)), 1,
		uintptr(at), uintptr(at>>32), unix.RWF_NOWAIT)
	return errno == 0 && got == 1
}

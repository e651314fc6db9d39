//go:build linux && !race

package reactor

// A file that is in memory, which is the rule, is sent without telling the scheduler: sendfile(2) cannot sleep then. Told, the
// scheduler takes the loop's processor away after 20 µs and gives it back later, which costs half as much again as
// sending 64 KiB does. That all pages are there is asked by cachestat(2), of Linux 6.5, and that the last one has arrived by
// preadv2(2) with RWF_NOWAIT: pages that are still being read stand in the cache, too, and the last comes last. Both together
// take a tenth of what it takes to send 64 KiB. So the answer is remembered for warmFor, by the file and the range.
//
// The answer may be wrong when it is used: pages are evicted meanwhile, or arrived in another order. Then the loop sleeps on
// the disk as it would otherwise, but with its processor, so other goroutines may wait along. It does so once: what was
// read from the disk is in memory again.

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var pageSize = int64(os.Getpagesize())

const (
	// warmFor is how long a range that was found in memory is taken to be there. Pages that were used a moment ago are the
	// last to be evicted.
	warmFor = 100 * time.Millisecond

	// warmFiles is how many files a loop remembers. Each has one place where it can stand.
	warmFiles = 1 << warmBits
	warmBits  = 6
)

// warmth is what a loop remembers of files that were found in memory: one range of each.
type warmth struct {
	begun time.Time
	files [warmFiles]warmRange
}

// warmRange is a range of a file. The file is an address, which keeps no file from being finalized. When the address is another
// file's by then, pages of that are taken to be in memory which may not be.
type warmRange struct {
	file     uintptr
	from, to int64
	until    time.Duration // since begun
}

func newWarmth() *warmth { return &warmth{begun: time.Now()} }

// sendCached sends n bytes of a file if they are in memory. ok is false if they are not, or if the system cannot tell.
func (w *warmth) sendCached(fd int, f File, from int, offset int64, n int) (sent int, errno syscall.Errno, ok bool) {
	if !w.cached(f, from, offset, int64(n)) {
		return 0, 0, false
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(fd), uintptr(from), uintptr(unsafe.Pointer(&offset)), uintptr(n), 0, 0)
	if errno != 0 {
		return 0, errno, true
	}
	return int(r), 0, true
}

// cached reports whether a range is in memory, or was found there a moment ago.
func (w *warmth) cached(f File, from int, offset, n int64) bool {
	file, ok := f.(*os.File)
	if w == nil || !ok {
		return cached(from, offset, n)
	}
	at := uintptr(unsafe.Pointer(file))
	const golden = 0x9E3779B97F4A7C15 // spreads addresses, which are multiples of a power of two
	known := &w.files[uint64(at)*golden>>(64-warmBits)]
	now := time.Since(w.begun)
	if known.file == at && known.from <= offset && offset+n <= known.to && now < known.until {
		return true
	}
	if !cached(from, offset, n) {
		return false
	}
	*known = warmRange{at, offset, offset + n, now + warmFor}
	return true
}

// cached asks the kernel whether a range is in memory.
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

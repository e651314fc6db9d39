//go:build linux && !race

package reactor

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What was just written is in memory, as far as it goes; what was never read is not, nor what has no pages.
func TestCached(t *testing.T) {
	size := int64(3*pageSize + 100)
	f := temporary(t, strings.Repeat("x", int(size)))
	fd := int(f.Fd())
	var stat unix.Cachestat_t
	if err := unix.Cachestat(uint(fd), &unix.CachestatRange{Len: 1}, &stat, 0); err != nil {
		t.Skipf("this kernel cannot tell: %v", err)
	}
	for _, c := range []struct {
		offset, n int64
		want      bool
	}{
		{0, size, true},
		{0, 1, true},
		{pageSize - 1, 2, true},
		{size - 1, 1, true},
		{0, size + 1, false},
		{size, 1, false},
		{0, 100 * pageSize, false},
	} {
		if got := cached(fd, c.offset, c.n); got != c.want {
			t.Errorf("%d bytes from %d on: %t", c.n, c.offset, got)
		}
	}

	sparse, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if err := sparse.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	if cached(int(sparse.Fd()), 0, 1<<20) {
		t.Error("a hole that was never read is in memory")
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if cached(int(r.Fd()), 0, 1) {
		t.Error("a pipe is in memory")
	}
}

// A range that was found in memory is taken to be there for a moment, with all that lies in it, and by that loop alone.
func TestWarmth(t *testing.T) {
	size := 2 * pageSize
	f := temporary(t, strings.Repeat("x", int(size)))
	fd := int(f.Fd())
	if !cached(fd, 0, size) {
		t.Skip("this kernel cannot tell")
	}
	w := newWarmth()
	if !w.cached(f, fd, 0, size) {
		t.Fatal("what was just written is not in memory")
	}
	if err := os.Truncate(f.Name(), 0); err != nil { // now nothing is in memory
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset, n int64
		want      bool
	}{{0, size, true}, {pageSize, 10, true}, {pageSize, size, false}} {
		if got := w.cached(f, fd, c.offset, c.n); got != c.want {
			t.Errorf("%d bytes from %d on: %t", c.n, c.offset, got)
		}
	}
	var none *warmth
	if none.cached(f, fd, 0, size) || newWarmth().cached(f, fd, 0, size) {
		t.Error("another loop takes the range to be in memory")
	}
	w.begun = w.begun.Add(-2 * warmFor) // so long ago
	if w.cached(f, fd, 0, size) {
		t.Error("a range counts as being in memory without an end")
	}
}

// The head of a file goes out with the file, and at once by itself where that is no socket.
func TestWriteMore(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if n, errno := sysWriteMore(int(w.Fd()), []byte("head")); n != 4 || errno != 0 {
		t.Errorf("%d, %v", n, errno)
	}
	if n, errno := sysWriteMore(-1, []byte("head")); n != 0 || errno != syscall.EBADF {
		t.Errorf("%d, %v", n, errno)
	}
}

package parser

import (
	"syscall"
	"testing"
)

// TestNothingIsReadBeyond presents every vector, and every beginning of it, at the very end of a page behind which there
// is no memory: a read beyond the slice would end the process.
func TestNothingIsReadBeyond(t *testing.T) {
	page := syscall.Getpagesize()
	const pages = 16
	m, err := syscall.Mmap(-1, 0, (pages+1)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(m)
	if err := syscall.Mprotect(m[pages*page:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	room := m[: pages*page : pages*page]
	for _, v := range loadVectors(t) {
		if len(v.message) > len(room) {
			t.Fatalf("%s is longer than %d bytes", v.name, len(room))
		}
		for n := range len(v.message) + 1 {
			b := room[len(room)-n:]
			copy(b, v.message)
			readAll(Parser{Limits: v.limits}, b)
		}
	}
}

// readAll reads b to its end, or to an error.
func readAll(p Parser, b []byte) {
	var h Head
	for {
		ev, n, err := p.Next(b, &h)
		b = b[n:]
		if ev == NeedMore || err != nil {
			return
		}
	}
}

package server

import (
	"testing"
	"unsafe"
)

func TestConnectionSize(t *testing.T) {
	const most = 144 // a size class of the allocator
	if n := unsafe.Sizeof(conn{}); n > most {
		t.Errorf("a connection has %d bytes, want at most %d", n, most)
	}
}

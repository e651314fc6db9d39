package reactor

import (
	"errors"
	"io"
	"testing"
)

// What was just written is in memory, and the end of a file is told from pages that are not there.
func TestReadCached(t *testing.T) {
	f := temporary(t, "content")
	p := make([]byte, 10)
	n, err := ReadCached(f, p, 3)
	if err != nil && !errors.Is(err, ErrNotCached) || err == nil && string(p[:n]) != "tent" {
		t.Errorf("%q, %v", p[:n], err)
	}
	if _, end := ReadCached(f, p, 7); err == nil && end != io.EOF {
		t.Errorf("at the end: %v", end)
	}
	if _, err := ReadCached(memoryFile{}, p, 0); !errors.Is(err, ErrNotCached) {
		t.Errorf("without a descriptor: %v", err)
	}
}

package websocket

import (
	"bytes"
	"testing"
)

// A message may have a block that is marked as the last (RFC 7692, 7.2.3.4), and not thousands of them.
func TestLastBlocks(t *testing.T) {
	for n, ok := range map[int]bool{1: true, maxLastBlocks - 1: true, maxLastBlocks + 1: false, 400_000: false} {
		_, err := inflate(nil, append(bytes.Repeat([]byte{3, 0}, n), 0), nil, 1<<20)
		if (err == nil) != ok {
			t.Errorf("%d last blocks: %v", n, err)
		}
	}
}

package main

import (
	"bufio"
	"strings"
	"testing"
)

// The clock ticks at once and each second, for each client.
func TestClock(t *testing.T) {
	t.Parallel()
	addr := startDemo(t)
	var clients []*bufio.Reader
	for range 2 {
		p := dial(t, addr)
		p.send("GET /clock HTTP/1.1")
		clients = append(clients, bufio.NewReader(p.head("GET").Body))
	}
	for range 2 {
		for _, in := range clients {
			if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: 2") {
				t.Errorf("%q, %v", line, err)
			}
			if line, err := in.ReadString('\n'); err != nil || line != "\n" {
				t.Errorf("%q, %v", line, err)
			}
		}
	}
}

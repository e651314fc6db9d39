package websockettest

import (
	"bufio"
	"errors"
	"net"
	"testing"
	"time"
)

// A server that breaks the protocol is found out.
func TestBrokenServers(t *testing.T) {
	for name, sends := range map[string]string{
		"masked":                   "\x81\x81\x00\x00\x00\x00x",
		"reserved bit":             "\xc1\x01x",
		"reserved opcode":          "\x83\x00",
		"fragmented ping":          "\x09\x00",
		"long ping":                "\x89\x7e\x00\x7e",
		"length not minimal":       "\x82\x7e\x00\x01x",
		"length of 8 not minimal":  "\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01x",
		"continuation of nothing":  "\x80\x00",
		"a message within another": "\x01\x01a\x81\x01b",
		"not UTF-8":                "\x81\x01\xff",
		"a close of one byte":      "\x88\x01x",
		"huge":                     "\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00",
	} {
		client, server := net.Pipe()
		c := &Client{conn: client, timeout: time.Second}
		c.r = bufio.NewReader(client)
		go func() {
			_, _ = server.Write([]byte(sends))
			server.Close()
		}()
		if _, _, err := c.ReadMessage(); !errors.Is(err, ErrServer) {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
	}
}

func TestBrokenHandshakes(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 101 x\r\n\r\n",
		"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
	} {
		client, server := net.Pipe()
		go func() {
			b := make([]byte, 4096)
			_, _ = server.Read(b)
			_, _ = server.Write([]byte(answer))
		}()
		if _, err := New(client, nil); !errors.Is(err, ErrServer) {
			t.Errorf("%q: %v", answer, err)
		}
		server.Close()
	}
}

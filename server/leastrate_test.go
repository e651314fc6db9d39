package server_test

import (
	"strings"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/servertest"
)

// A peer that drips resets no clock; one that is quick enough is served, however long it takes.
func TestLeastDataRate(t *testing.T) {
	const (
		tick  = 20 * time.Millisecond // between two pieces
		ticks = 100                   // twice the grace
	)
	c := servertest.Serve(t, &server.Server{
		Handler: server.HandlerFunc(func(*server.Response, *server.Request) {}), MinDataRate: 2000, DataRateGrace: time.Second,
	})
	for _, row := range []struct {
		name, begin, piece string
		status             int
		end                string
	}{
		{"slow head", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "x", 408, ""},
		{"slow body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n", "x", 408, ""},
		{"slow chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 408, ""},
		{"quick head", "GET / HTTP/1.1\r\nHost: a\r\nX: ", strings.Repeat("x", 300), 200, "\r\n\r\n"},
		{
			"ahead of its time", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10100\r\n\r\n" + strings.Repeat("x", 10000),
			"x", 200, "",
		},
	} {
		conn := c.Dial()
		conn.Send(row.begin)
		sent := 0
		for ; sent < ticks && conn.Buffered() == 0; sent++ {
			conn.Send(row.piece)
			c.Advance(tick)
		}
		if cut := sent < ticks; cut != (row.status == 408) || cut && sent < int(time.Second/tick) {
			t.Errorf("%s: an answer after %d pieces", row.name, sent)
		}
		if row.end != "" {
			conn.Send(row.end)
		}
		res := conn.Answer("POST").Want(row.status)
		if closes := res.Header("Connection") == "close"; closes != (row.status == 408) {
			t.Errorf("%s: the connection closes: %t", row.name, closes)
		}
	}
	if n := strings.Count(c.Log(), "the request arrives too slowly"); n != 3 {
		t.Errorf("%d lines in the log, want one for each of 3: %s", n, c.Log())
	}
}

package reactor

import (
	"io"
	"strings"
	"testing"
)

// What passes through a socket orders memory, as with package net: what one end has written to memory before it sends, the
// other may read once it has received. Only the race detector can tell, so this test fails under -race or not at all.
func TestSocketsOrderMemory(t *testing.T) {
	content := strings.Repeat("x", 2*directSize)
	for _, tc := range []struct {
		name string
		say  func(t *testing.T, p *recorder) // sends content
	}{
		{"Write, gathered", func(_ *testing.T, p *recorder) {
			for rest := content; rest != ""; rest = rest[directSize/2:] {
				p.Write([]byte(rest[:directSize/2]))
			}
		}},
		{"Write, sent from where it lies", func(_ *testing.T, p *recorder) { p.Write([]byte(content)) }},
		{"Send", func(_ *testing.T, p *recorder) {
			p.Send(Lent([]byte(content[:directSize])), Lent([]byte(content[directSize:])))
		}},
		{"Give", func(_ *testing.T, p *recorder) { p.Send(Given([]byte(content))) }},
		{"SendFile", func(t *testing.T, p *recorder) {
			p.Send(FileRange(kept{temporary(t, content)}, 0, int64(len(content))))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachPoller(t, func(t *testing.T, c Config) {
				var asked, told, answered int // by the client before it sends, by the loop when it has received, and before it sends
				conn, _ := start(t, c).connect(nil, func(p *recorder) {
					p.onData = func(b []byte) {
						told += asked * len(b)
						answered++
						tc.say(t, p)
					}
				})
				for round := 1; round <= 3; round++ {
					asked = round
					send(t, conn, "?")
					readN(t, conn, len(content))
					if answered != round {
						t.Errorf("round %d: %d answers", round, answered)
					}
				}
				if told != 1+2+3 {
					t.Errorf("the loop was told %d", told)
				}
			})
		})
	}
}

// The end of the bytes comes after all that was written before it.
func TestEndOrdersMemory(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		said := 0
		conn, _ := start(t, c).connect(nil, func(p *recorder) {
			p.onData = func([]byte) {
				said = 1
				p.Write([]byte("bye"))
				p.LoseConnection()
			}
		})
		send(t, conn, "?")
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Error(err)
		}
		if said != 1 {
			t.Error("it said nothing")
		}
	})
}

//go:build parser_looked

package parser

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// lookedMost is how often a byte is looked at, at most and on the average of the bytes that have come so far.
const lookedMost = 2

// TestLookedAtMostTwice counts the bytes that are looked at: of each vector, of each vector with a byte of it broken, and
// of messages made of what costs most; whole, in single bytes, and in random pieces. The bound holds after each call.
func TestLookedAtMostTwice(t *testing.T) {
	r := rand.New(rand.NewPCG(splitSeed, 2))
	most := 0.0
	count := func(name string, limits *Limits, message []byte) {
		var each, random []int
		for i := 1; i < len(message); i++ {
			each = append(each, i)
		}
		for range r.IntN(10) {
			random = append(random, r.IntN(len(message)+1))
		}
		slices.Sort(random)
		for _, cuts := range [][]int{nil, each, random} {
			most = max(most, countLooks(t, name, limits, message, cuts))
		}
	}
	for _, v := range loadVectors(t) {
		count(v.name, v.limits, v.message)
		for range 8 {
			broken := slices.Clone(v.message)
			broken[r.IntN(len(broken))] = garbage[r.IntN(len(garbage))]
			count(v.name+", broken", v.limits, broken)
		}
	}
	for _, m := range costlyMessages() {
		count("costly", nil, []byte(m))
	}
	for range 3000 {
		count("random", nil, randomMessage(r))
	}
	t.Logf("at most %.3f looks at a byte", most)
}

// countLooks presents message in pieces, and returns how many looks there were for each of its bytes.
func countLooks(t *testing.T, name string, limits *Limits, message []byte, cuts []int) float64 {
	t.Helper()
	p := Parser{Limits: limits}
	var h Head
	lookedAt = 0
	consumed, given := 0, 0
	for _, given = range append(slices.Clone(cuts), len(message)) {
		for {
			ev, n, err := p.Next(message[consumed:given], &h)
			consumed += n
			if lookedAt > lookedMost*given {
				t.Fatalf("%s: %d looks at %q, which has %d bytes; cut at %v", name, lookedAt, message[:given], given, cuts)
			}
			if err != nil {
				return float64(lookedAt) / float64(given)
			}
			if ev == NeedMore {
				break
			}
		}
	}
	return float64(lookedAt) / float64(given)
}

// costlyMessages are made of lines that are looked at as often as any can be.
func costlyMessages() (ms []string) {
	lines := []string{
		"Connection:a\r\n", "Connection:\r\n", "Connection:,,,,\r\n", "Connection:close\r\n", "connection:\tclose\t\r\n",
		"Expect:100-continue\r\n", "Expect:a\r\n", "Upgrade:\r\n", "Upgrade:a\r\n", "TE:\r\n", "TE:a\r\n", "a:\r\n", "a:b\r\n",
		"Transfer-Encoding:a\r\n", "Transfer-Encoding:a;b=\"\\\"\"\r\n", "a:\t\tb\t\tc\t\td\t \r\n", "Cookie:\t\r\n", "hosts:1\r\n",
	}
	for _, l := range lines {
		ms = append(ms, "A / HTTP/1.1\r\n"+strings.Repeat(l, DefaultFieldLines)+"\r\n", "A / HTTP/1.1\r\n"+strings.Repeat(l, DefaultFieldLines-1)+"Host:a\r\n\r\n")
	}
	for _, target := range []string{"http://a", "http://[::1.2.3.4]:80", "https://%41:0", "http://[v1.:]:", "/%41%41%41%41", "/?%41%41"} {
		for _, host := range []string{"a", "a:", "%41%41%41", "[::1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]:65535", "[v1.::::]", "[" + strings.Repeat("a", 9000), "[::" + strings.Repeat("1:", 9000)} {
			ms = append(ms, "A "+target+" HTTP/1.1\r\nHost:"+host+"\r\nContent-Type:aaaaaaaaa\r\nContent-Type:aaaaaaaaa\r\nContent-Length:0\r\n\r\n",
				"GET "+target+" HTTP/1.0\r\nHost:"+host+"\r\n\r\n")
		}
	}
	for _, literal := range []string{"[", "[:", "[]", "[:]", "[::", "[a", "[a:", "[v", "[v1", "[v1.", "[::]", "[1:"} {
		ms = append(ms, "CONNECT "+literal+"\n", "CONNECT "+literal+" ")
	}
	for _, method := range []string{"A", "PATCH", "PATCI", "OPTIONT", "CONNECT", "TRACF"} {
		for _, version := range []string{"HTTP/1.0\r\n", "HTTP/1.1\rX", "HTTP/1.1X", "HTTP/2.0\r", "HTTP/1.9\r\n"} {
			ms = append(ms, method+" / "+version, method+" a:1 "+version)
		}
	}
	return ms
}

// randomMessage strings pieces together that messages are made of.
func randomMessage(r *rand.Rand) (m []byte) {
	pieces := []string{
		"GET ", "A ", "CONNECT ", "/", "http://", "a", "%41", "[", "]", "::", "1.2.3.4", ":", "1", "?", " HTTP/1.1\r\n", "Host", ": ", "\r\n",
		"Connection", "Transfer-Encoding", "chunked", ",", ";", "=", "\"", "\\", "Content-Length", "Content-Type", "Expect", "100-continue",
		"\t", " ", "close", "\r\n\r\n", "0\r\n", "5;a=b\r\n", "abcde\r\n", "\x00", "\xff",
	}
	if r.IntN(2) == 0 {
		m = append(m, "POST / HTTP/1.1\r\nHost:a\r\n"...)
	}
	for range r.IntN(40) {
		m = append(m, pieces[r.IntN(len(pieces))]...)
	}
	return append(m, '\r')
}

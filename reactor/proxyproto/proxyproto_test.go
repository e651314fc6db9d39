package proxyproto

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

// v2 makes a header of version 2.
func v2(command, family byte, rest string) string {
	b := append([]byte(signature2), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return string(b) + rest
}

const (
	four = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x01\xbb" // 192.0.2.1:4660 to 192.0.2.2:443
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x34\x01\xbb"
)

// withSum adds a checksum to a header that has four bytes of zero for it at the end.
func withSum(h string) string {
	b := []byte(h)
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, castagnoli))
	return string(b)
}

var good = []struct{ in, source, destination string }{
	{"PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n", "192.0.2.1:4660", "192.0.2.2:443"},
	{"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0:0", "255.255.255.255:65535"},
	{"PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n", "[2001:db8::1]:4660", "[2001:db8::2]:443"},
	{"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n", "192.0.2.1:1", "[2001:db8::2]:2"},
	{"PROXY UNKNOWN\r\n", "", ""},
	{"PROXY UNKNOWN ff:ff ff 1 2\r\n", "", ""},
	{"PROXY UNKNOWN " + strings.Repeat("x", MaxV1-16) + "\r\n", "", ""},
	{v2(0x21, 0x11, four), "192.0.2.1:4660", "192.0.2.2:443"},
	{v2(0x21, 0x21, six), "[2001:db8::1]:4660", "[2001:db8::2]:443"},
	{v2(0x21, 0x31, strings.Repeat("/", 216)), "", ""},
	{v2(0x21, 0x00, ""), "", ""},
	{v2(0x21, 0x00, "\x01anything"), "", ""},
	{v2(0x20, 0x00, ""), "", ""},
	{v2(0x20, 0xff, strings.Repeat("x", 520)), "", ""},
	{v2(0x21, 0x11, four+"\x01\x00\x02h2\x04\x00\x00"), "192.0.2.1:4660", "192.0.2.2:443"},
	{withSum(v2(0x21, 0x11, four+"\x03\x00\x04\x00\x00\x00\x00")), "192.0.2.1:4660", "192.0.2.2:443"},
}

// TestParse holds what a header means, and that it means the same however it is cut.
func TestParse(t *testing.T) {
	for _, c := range good {
		for cut := range len(c.in) {
			if _, n, err := Parse([]byte(c.in[:cut])); n != 0 || err != nil {
				t.Fatalf("%q: %d, %v", c.in[:cut], n, err)
			}
		}
		for _, more := range []string{"", "GET / HTTP/1.1\r\n\r\n"} {
			h, n, err := Parse([]byte(c.in + more))
			if err != nil || n != len(c.in) || name(h.Source) != c.source || name(h.Destination) != c.destination {
				t.Errorf("%q: %v, %d, %v", c.in, h, n, err)
			}
			if want := map[bool]int{true: 1, false: 2}[strings.HasPrefix(c.in, "PROXY")]; h.Version != want {
				t.Errorf("%q is version %d", c.in, h.Version)
			}
		}
	}
}

func name(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestMalformed(t *testing.T) {
	for _, in := range []string{
		"GET / HTTP/1.1\r\n\r\n",
		"\x16\x03\x01",
		"proxy TCP4",
		"PROXY\tTCP4",
		"PROXY \r\n",
		"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
		"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
		"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n",
		"PROXY TCP6 192.0.2.1 2001:db8::2 1 2\r\n",
		"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
		"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
		"PROXY UNKNOWN " + strings.Repeat("x", MaxV1),
		v2(0x11, 0x11, four),
		v2(0x22, 0x11, four),
		v2(0x21, 0x12, four),
		v2(0x21, 0x11, four[1:]),
		v2(0x21, 0x21, six[1:]),
		v2(0x21, 0x31, "/"),
		v2(0x21, 0x11, four+"\x01\x00"),
		v2(0x21, 0x11, four+"\x01\x00\x02x"),
		v2(0x21, 0x11, four+"\x03\x00\x03xxx"),
		v2(0x21, 0x11, four+"\x03\x00\x04xxxx"),
		v2(0x20, 0x00, strings.Repeat("x", 521)),
	} {
		if h, n, err := Parse([]byte(in)); !errors.Is(err, ErrMalformed) || n != 0 {
			t.Errorf("%q: %v, %d, %v", in, h, n, err)
		}
	}
}

// FuzzParse holds that no input makes Parse panic, ask for more than the longest header, or contradict itself when the
// input comes in two pieces.
func FuzzParse(f *testing.F) {
	for _, c := range good {
		f.Add([]byte(c.in), 5)
	}
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		h, n, err := Parse(p)
		if err == nil && n == 0 && len(p) >= MaxV2 {
			t.Fatalf("%d bytes are not enough", len(p))
		}
		if err != nil && !errors.Is(err, ErrMalformed) || n > len(p) {
			t.Fatal(n, err)
		}
		if cut < 0 || cut > len(p) {
			return
		}
		early, k, failed := Parse(p[:cut])
		if failed != nil && err == nil {
			t.Fatalf("%q is refused, but not all of it", p[:cut])
		}
		if k > 0 && (k != n || early != h) {
			t.Fatalf("%q is a header of %d bytes, but in all of it one of %d", p[:cut], k, n)
		}
	})
}

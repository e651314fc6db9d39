// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2. A load balancer that forwards
// connections, such as HAProxy with send-proxy or send-proxy-v2, sends it before the bytes of its client, so that the
// server learns the client's address.
//
// It follows the specification of HAProxy (doc/proxy-protocol.txt, of 2020/03/05). Where that leaves a choice, a header
// is refused: a mistake here would let a peer choose the address that it is counted and logged by.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

// The most bytes of a header.
const (
	MaxV1 = 107 // with its CRLF
	MaxV2 = 536 // of which 520 follow the fixed part
)

// ErrMalformed is wrapped by every error of Parse.
var ErrMalformed = errors.New("proxyproto: malformed header")

// Header is what a header says.
type Header struct {
	Version int // 1 or 2

	// Source is the client's address, and Destination the one that the client has connected to. Both are zero when the
	// header names none: for UNKNOWN, for LOCAL (a health check of the load balancer itself) and for Unix sockets. The
	// addresses of the connection itself hold then.
	Source, Destination netip.AddrPort
}

const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// Parse reads a header from the beginning of p. It returns how many bytes the header has. 0 means that it is not complete
// and that more bytes may complete it. The error wraps ErrMalformed. A malformed header is reported as soon as its bytes
// show it, and p never needs to hold more than MaxV2 bytes. p is not kept.
func Parse(p []byte) (h Header, n int, err error) {
	switch {
	case hasPrefix(p, signature2):
		if len(p) < 16 {
			return h, 0, nil
		}
		return parse2(p)
	case hasPrefix(p, signature1):
		return parse1(p)
	}
	return h, 0, malformed("the connection does not begin with one")
}

// hasPrefix reports whether p, as far as it goes, begins with signature.
func hasPrefix(p []byte, signature string) bool {
	n := min(len(p), len(signature))
	return string(p[:n]) == signature[:n]
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// parse1 reads the header of version 1, a line of text (section 2.1).
func parse1(p []byte) (h Header, n int, err error) {
	end := bytes.IndexByte(p[:min(len(p), MaxV1)], '\n')
	switch {
	case end < 0 && len(p) >= MaxV1:
		return h, 0, malformed("its line is longer than %d bytes", MaxV1)
	case end < 0:
		return h, 0, nil
	case p[end-1] != '\r':
		return h, 0, malformed("its line does not end in CRLF")
	}
	line := string(p[:end-1])
	h.Version = 1
	family, rest, _ := strings.Cut(line[min(len(signature1), len(line)):], " ")
	if family == "UNKNOWN" {
		return h, end + 1, nil // and what follows is to be ignored
	}
	if family != "TCP4" && family != "TCP6" {
		return h, 0, malformed("its family is none of TCP4, TCP6 and UNKNOWN")
	}
	f := strings.Split(rest, " ")
	if len(f) != 4 {
		return h, 0, malformed("its line has not two addresses and two ports")
	}
	if h.Source, err = addrPort1(family, f[0], f[2]); err != nil {
		return h, 0, err
	}
	if h.Destination, err = addrPort1(family, f[1], f[3]); err != nil {
		return h, 0, err
	}
	return h, end + 1, nil
}

func addrPort1(family, addr, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || a.Is4() != (family == "TCP4") {
		return netip.AddrPort{}, malformed("an address is not one of its family")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, malformed("a port is no number up to 65535")
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// Commands and families of version 2 (section 2.2).
const (
	version2Local = 0x20
	version2Proxy = 0x21

	family2Unspec = 0x00
	family2TCP4   = 0x11
	family2TCP6   = 0x21
	family2Unix   = 0x31

	typeCRC32C = 0x03
)

// addresses2 is how many bytes the addresses of a family take.
var addresses2 = map[byte]int{family2Unspec: 0, family2TCP4: 12, family2TCP6: 36, family2Unix: 216}

// parse2 reads the header of version 2, which is binary. p has its fixed part.
func parse2(p []byte) (h Header, n int, err error) {
	command, family := p[12], p[13]
	n = 16 + int(binary.BigEndian.Uint16(p[14:]))
	switch {
	case command != version2Local && command != version2Proxy:
		return h, 0, malformed("its version and command are 0x%02x", command)
	case n > MaxV2:
		return h, 0, malformed("it has %d bytes, which is more than %d", n, MaxV2)
	case n > len(p):
		return h, 0, nil
	}
	h.Version = 2
	if command == version2Local {
		return h, n, nil // its addresses are to be ignored, whatever they are
	}
	size, known := addresses2[family]
	switch {
	case !known:
		return h, 0, malformed("its family and protocol are 0x%02x, and not those of a stream", family)
	case 16+size > n:
		return h, 0, malformed("it is too short for its addresses")
	}
	if family != family2Unspec {
		if err := checkTLVs(p[:n], 16+size); err != nil {
			return h, 0, err
		}
	}
	a := p[16:]
	switch family {
	case family2TCP4:
		h.Source, h.Destination = addrPort2(a[0:4], a[8:10]), addrPort2(a[4:8], a[10:12])
	case family2TCP6:
		h.Source, h.Destination = addrPort2(a[0:16], a[32:34]), addrPort2(a[16:32], a[34:36])
	}
	return h, n, nil
}

func addrPort2(addr, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(addr)
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkTLVs walks the fields that follow the addresses in header, from at on. A checksum among them must be right
// (section 2.2.4).
func checkTLVs(header []byte, at int) error {
	for at < len(header) {
		if len(header)-at < 3 {
			return malformed("a field after its addresses is cut short")
		}
		kind, value := header[at], at+3
		at = value + int(binary.BigEndian.Uint16(header[at+1:]))
		if at > len(header) {
			return malformed("a field after its addresses is cut short")
		}
		if kind != typeCRC32C {
			continue
		}
		if at-value != 4 {
			return malformed("its checksum has %d bytes", at-value)
		}
		sum := crc32.Update(0, castagnoli, header[:value])
		sum = crc32.Update(sum, castagnoli, make([]byte, 4))
		sum = crc32.Update(sum, castagnoli, header[at:])
		if sum != binary.BigEndian.Uint32(header[value:]) {
			return malformed("its checksum is wrong")
		}
	}
	return nil
}

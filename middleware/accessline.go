package middleware

// The lines of an access log that are no fields. What stands in quotes may be of a peer: in it every byte but printable ASCII
// is written as \xhh, and quotes and backslashes have a backslash before them, as in Apache's own log. Programs that read the
// log therefore find the same columns whatever a peer sends.

import (
	"bytes"
	"strconv"
	"time"

	"microhttp/server"
)

// appendCombined appends a line of Apache's combined format:
//
//	"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\""
func appendCombined(dst []byte, w *server.Response, r *server.Request) []byte {
	dst = appendClient(dst, r, "-")
	dst = append(dst, " - "...)
	if user := User.Get(r); user != "" {
		dst = appendWord(dst, user[:min(len(user), maxLogged)])
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, " ["...)
	dst = r.Received().AppendFormat(dst, "02/Jan/2006:15:04:05 -0700")
	dst = append(dst, `] "`...)
	dst = appendEscaped(dst, r.Method())
	dst = append(dst, ' ')
	dst = appendEscaped(dst, clip(r.PeekEscapedPath()))
	dst = append(dst, " HTTP/1."...)
	dst = strconv.AppendInt(dst, int64(r.ProtoMinor()), 10)
	dst = append(dst, `" `...)
	dst = strconv.AppendInt(dst, int64(w.Status()), 10)
	dst = append(dst, ' ')
	if n := w.BytesSent(); n > 0 {
		dst = strconv.AppendInt(dst, n, 10)
	} else {
		dst = append(dst, '-')
	}
	referer, _, _ := bytes.Cut(r.PeekHeader("Referer"), []byte("?"))
	dst = appendQuoted(dst, referer)
	dst = appendQuoted(dst, r.PeekHeader("User-Agent"))
	return append(dst, '\n')
}

// appendPlain appends a line for people.
func appendPlain(dst []byte, w *server.Response, r *server.Request, took time.Duration) []byte {
	dst = time.Now().AppendFormat(dst, time.TimeOnly)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(w.Status()), 10)
	dst = append(dst, ' ')
	dst = appendEscaped(dst, r.Method())
	dst = append(dst, ' ')
	dst = appendEscaped(dst, clip(r.PeekEscapedPath()))
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, w.BytesSent(), 10)
	dst = append(dst, " B "...)
	dst = appendDuration(dst, took)
	dst = append(dst, ' ')
	dst = appendClient(dst, r, "unix")
	if err := w.Err(); err != nil {
		dst = append(dst, ": "...)
		dst = appendEscaped(dst, err.Error())
	}
	return append(dst, '\n')
}

// appendClient appends the address of the client, or none.
func appendClient(dst []byte, r *server.Request, none string) []byte {
	client := r.ClientAddr()
	if !client.IsValid() {
		return append(dst, none...)
	}
	return client.AppendTo(dst)
}

// appendDuration appends a duration to three digits, which is all that people read.
func appendDuration(dst []byte, d time.Duration) []byte {
	for _, unit := range [...]struct {
		d    time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d < unit.d && unit.d != time.Microsecond {
			continue
		}
		n := float64(d) / float64(unit.d)
		digits := 0
		if n < 10 {
			digits = 1
		}
		return append(strconv.AppendFloat(dst, n, 'f', digits, 64), unit.name...)
	}
	return dst
}

// appendQuoted appends a space and the value of a field in quotes, or "-" if it is empty.
func appendQuoted(dst, value []byte) []byte {
	dst = append(dst, ` "`...)
	if len(value) == 0 {
		dst = append(dst, '-')
	}
	return append(appendEscaped(dst, clip(value)), '"')
}

// appendEscaped appends s so that it can stand in quotes.
func appendEscaped[T []byte | string](dst []byte, s T) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c >= 0x7f:
			dst = appendHex(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendWord is appendEscaped for what stands in no quotes: a space and a quote are escaped, too.
func appendWord(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			dst = appendHex(dst, c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

func appendHex(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'x', digits[c>>4], digits[c&15])
}

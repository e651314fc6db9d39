package server

import "strconv"

// reasons holds the reason phrases of RFC 9110, 15 and of the IANA registry. A
// status that is not here is sent with an empty phrase, which RFC 9112, 4 allows.
var reasons = [...]struct {
	code   int
	reason string
}{
	{100, "Continue"},
	{101, "Switching Protocols"},
	{102, "Processing"},
	{103, "Early Hints"},
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{203, "Non-Authoritative Information"},
	{204, "No Content"},
	{205, "Reset Content"},
	{206, "Partial Content"},
	{207, "Multi-Status"},
	{208, "Already Reported"},
	{226, "IM Used"},
	{300, "Multiple Choices"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{305, "Use Proxy"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{402, "Payment Required"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{407, "Proxy Authentication Required"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{418, "I'm a teapot"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
	{423, "Locked"},
	{424, "Failed Dependency"},
	{425, "Too Early"},
	{426, "Upgrade Required"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{451, "Unavailable For Legal Reasons"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
	{506, "Variant Also Negotiates"},
	{507, "Insufficient Storage"},
	{508, "Loop Detected"},
	{510, "Not Extended"},
	{511, "Network Authentication Required"},
}

// The statuses that a handler may answer with. 1xx are interim responses and not
// answers; beyond 599 a client could not tell the class (RFC 9110, 15).
const (
	minStatus = 200
	maxStatus = 599
)

// statusLines holds a whole status line for each status that may be answered, so
// that a head begins with one copy.
var statusLines = func() (lines [maxStatus + 1]string) {
	for code := minStatus; code <= maxStatus; code++ {
		lines[code] = "HTTP/1.1 " + strconv.Itoa(code) + " \r\n"
	}
	for _, r := range reasons {
		if r.code >= minStatus || r.code == 101 {
			lines[r.code] = "HTTP/1.1 " + strconv.Itoa(r.code) + " " + r.reason + "\r\n"
		}
	}
	return lines
}()

// StatusText returns the reason phrase of code, or "" when the IANA registry has
// none.
func StatusText(code int) string {
	for _, r := range reasons {
		if r.code == code {
			return r.reason
		}
	}
	return ""
}

// bodyless reports whether an answer with this status never has content, whatever
// the handler wrote (RFC 9110, 15.3.5, 15.3.6 and 15.4.5).
func bodyless(status int) bool {
	return status == 101 || status == 204 || status == 205 || status == 304
}

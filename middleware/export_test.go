package middleware

// ParseForwarded is for a fuzzer.
func ParseForwarded(s string) (values []string) {
	for _, h := range parseForwarded(s) {
		values = append(values, h.addr, h.proto, h.host)
	}
	return values
}

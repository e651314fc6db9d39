package servertest

import (
	"slices"
	"strings"
)

// addCookies adds the cookies that the client keeps.
func (c *Client) addCookies(m *message) {
	var pairs []string
	for name, value := range c.jar {
		pairs = append(pairs, name+"="+value)
	}
	if len(pairs) > 0 {
		slices.Sort(pairs)
		m.fields = append(m.fields, Field{"Cookie", strings.Join(pairs, "; ")})
	}
}

// keepCookies keeps those that an answer sets.
func (c *Client) keepCookies(r *Response) {
	if c.jar == nil {
		return
	}
	for _, line := range r.Values("Set-Cookie") {
		if name, value, expired := setCookie(line); expired {
			delete(c.jar, name)
		} else {
			c.jar[name] = value
		}
	}
}

// setCookie reads the value of a Set-Cookie field line.
func setCookie(line string) (name, value string, expired bool) {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, _ = strings.Cut(strings.TrimSpace(pair), "=")
	for a := range strings.SplitSeq(attributes, ";") {
		key, v, _ := strings.Cut(strings.TrimSpace(a), "=")
		expired = expired || strings.EqualFold(key, "Max-Age") && (v == "0" || strings.HasPrefix(v, "-"))
	}
	return name, value, expired
}

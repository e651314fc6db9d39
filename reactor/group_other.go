//go:build unix && !linux

package reactor

// onlyJoined has nothing to do: outside of Linux a socket receives what is sent to its own groups.
func onlyJoined(int, bool) {}

package middleware_test

import (
	"fmt"
	"strings"
	"testing"
)

// mustPanic expects a panic whose message has the words.
func mustPanic(t *testing.T, words string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), words) {
			t.Errorf("panicked with %v, want %q", v, words)
		}
	}()
	f()
}

//go:build race

package middleware_test

// underRace says that allocations cannot be counted: the detector makes some itself.
const underRace = true

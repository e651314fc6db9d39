//go:build race

package router_test

// raceEnabled says that the detector is on, under which the counts of allocations mean nothing.
const raceEnabled = true

//go:build race

package parser

// raceEnabled says that the race detector is on, under which allocations and times mean nothing.
const raceEnabled = true

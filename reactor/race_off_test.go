//go:build !race

package reactor

// raceEnabled skips what the race detector changes: it allocates.
const raceEnabled = false

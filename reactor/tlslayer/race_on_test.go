//go:build race

package tlslayer

// raceEnabled skips what the race detector changes: it allocates.
const raceEnabled = true

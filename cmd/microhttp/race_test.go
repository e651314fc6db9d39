//go:build race

package main

// underRace says that allocations cannot be counted: the detector makes some itself.
const underRace = true

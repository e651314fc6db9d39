package sim

// Many worlds, one after the other.

import (
	"os"
	"strconv"
)

// SeedVariable is the environment variable that has Check run one seed alone, the one that had failed.
const SeedVariable = "SIM_SEED"

// FactorVariable is the environment variable that Seeds multiplies by.
const FactorVariable = "SIM_SEEDS"

// Seeds returns how many worlds a test makes: n, times the whole number in SIM_SEEDS if that is set. Give it the number for
// every day, and set SIM_SEEDS where there is time for more. It panics if SIM_SEEDS is not a number from 1 to 1,000,000.
func Seeds(n int) int {
	s := os.Getenv(FactorVariable)
	if s == "" {
		return n
	}
	factor, err := strconv.Atoi(s)
	if err != nil || factor < 1 || factor > maxFactor {
		panic("sim: " + FactorVariable + " is " + strconv.Quote(s) + ", and not a number from 1 to " + strconv.Itoa(maxFactor))
	}
	return n * factor
}

// maxFactor keeps a mistyped factor from overflowing.
const maxFactor = 1_000_000

// TB is what Check needs of a *testing.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Check makes n worlds, of the seeds first, first+1 and so on, has f fill each and runs it. The first that fails ends
// the test with its failure.
func Check(t TB, first uint64, n int, c Config, f func(w *World)) {
	t.Helper()
	if s := os.Getenv(SeedVariable); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", SeedVariable, err)
			return
		}
		first, n = seed, 1
	}
	for i := range uint64(n) {
		w := New(first+i, c)
		f(w)
		if err := w.Run(); err != nil {
			t.Fatalf("%v", err)
			return
		}
	}
}

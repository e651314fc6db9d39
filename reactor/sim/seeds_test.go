package sim_test

import (
	"testing"

	"microhttp/reactor/sim"
)

func TestSeeds(t *testing.T) {
	for _, test := range []struct {
		factor string
		want   int // 0: a panic
	}{
		{"", 7},
		{"1", 7},
		{"10", 70},
		{"1000000", 7_000_000},
		{"0", 0},
		{"-1", 0},
		{"x", 0},
		{"1.5", 0},
		{"1000001", 0},
		{" 1", 0},
	} {
		t.Run(test.factor, func(t *testing.T) {
			t.Setenv(sim.FactorVariable, test.factor)
			defer func() {
				if panicked := recover() != nil; panicked != (test.want == 0) {
					t.Errorf("panicked: %v", panicked)
				}
			}()
			if got := sim.Seeds(7); got != test.want {
				t.Errorf("Seeds(7) is %d, want %d", got, test.want)
			}
		})
	}
}

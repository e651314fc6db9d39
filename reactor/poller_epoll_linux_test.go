package reactor

import (
	"testing"
	"time"
)

// A deadline is armed anew only when it must be: when it is earlier, or the armed one has passed.
func TestEpollArmsRarely(t *testing.T) {
	poller, err := newEpoller()
	if err != nil {
		t.Fatal(err)
	}
	defer poller.Close()
	p := poller.(*epoller)
	now := time.Now()
	at := func(d time.Duration) time.Time { return now.Add(d) }
	for i, step := range []struct{ until, armed time.Time }{
		{at(2 * time.Hour), at(2 * time.Hour)},
		{at(3 * time.Hour), at(2 * time.Hour)},
		{time.Time{}, at(2 * time.Hour)},
		{at(time.Hour), at(time.Hour)},
		{at(2 * time.Hour), at(time.Hour)},
		{at(-time.Hour), at(-time.Hour)},
	} {
		if err := p.arm(step.until); err != nil {
			t.Fatal(err)
		}
		if p.armed != step.armed {
			t.Errorf("step %d: armed %v, want %v", i, p.armed.Sub(now), step.armed.Sub(now))
		}
	}
	wait(t, p, time.Now()) // the last one has passed
	if err := p.arm(time.Time{}); err != nil || !p.armed.IsZero() {
		t.Errorf("armed %v after it has passed, %v", p.armed, err)
	}
}

package tokens

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	work, err := Parse("bench/mock-t100-r50-d5")
	if err != nil {
		t.Fatal(err)
	}
	if expected := (Workload{Tokens: 100, Rate: 50, Delay: 5 * time.Millisecond}); expected != work {
		t.Errorf("expected %+v, got %+v", expected, work)
	}
	for _, bad := range []string{"", "gpt", "mock", "mock-", "mock-r5", "mock-t0", "mock-tx", "mock-t5-r-1", "mock-t5-z1", "mock-t9999999"} {
		if work, err := Parse(bad); err == nil {
			t.Errorf("%q was accepted as %+v", bad, work)
		}
	}
}

func TestNeighboursDiffer(t *testing.T) {
	for i := range 3 * len(vocabulary) {
		if Text(i) == Text(i+1) {
			t.Errorf("tokens %d and %d are both %q: a swap would not be seen", i, i+1, Text(i))
		}
	}
}

package diff

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestUnified(t *testing.T) {
	from := "a\nb\nc\nd\ne\nf\ng\n"
	to := "a\nb\nC\nd\ne\nf\ng\nh\n"
	want := strings.Join([]string{
		"--- one", "+++ two",
		"@@ -2,3 +2,3 @@", " b", "-c", "+C", " d",
		"@@ -7 +7,2 @@", " g", "+h", "",
	}, "\n")
	if found := Unified("one", "two", Lines(from, to), 1); found != want {
		t.Errorf("found:\n%s\nexpected:\n%s", found, want)
	}
}

func TestUnifiedOfEqualTexts(t *testing.T) {
	if found := Unified("a", "b", Lines("x\ny\n", "x\ny\n"), 3); found != "" {
		t.Errorf("found %q, expected nothing", found)
	}
}

func TestUnifiedFromNothing(t *testing.T) {
	want := "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n"
	if found := Unified("a", "b", Lines("", "x\n"), 3); found != want {
		t.Errorf("found %q, expected %q", found, want)
	}
}

func TestLinesGivesBothTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var lines strings.Builder
		for range random.IntN(20) {
			fmt.Fprintf(&lines, "%d\n", random.IntN(4))
		}
		return lines.String()
	}
	for range 500 {
		from, to := text(), text()
		var gotFrom, gotTo strings.Builder
		for _, line := range Lines(from, to) {
			if line.Kind != Insert {
				gotFrom.WriteString(line.Text + "\n")
			}
			if line.Kind != Delete {
				gotTo.WriteString(line.Text + "\n")
			}
		}
		if gotFrom.String() != from || gotTo.String() != to {
			t.Fatalf("from %q to %q: found %q and %q", from, to, gotFrom.String(), gotTo.String())
		}
	}
}

func TestStat(t *testing.T) {
	inserted, deleted := Stat(Lines("a\nb\n", "b\nc\nd\n"))
	if inserted != 2 || deleted != 1 {
		t.Errorf("found %d and %d, expected 2 and 1", inserted, deleted)
	}
}

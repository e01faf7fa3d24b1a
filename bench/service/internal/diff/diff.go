// Package diff compares texts line by line.
package diff

import (
	"fmt"
	"strings"
)

// Kind says what became of a line.
type Kind int

// The kinds of lines.
const (
	Equal Kind = iota
	Insert
	Delete
)

// Line is one line of a comparison, without its line break.
type Line struct {
	Kind Kind
	Text string
}

// Lines returns a shortest way from one text to another, by the algorithm of Myers.
func Lines(from, to string) []Line {
	a, b := split(from), split(to)
	return backtrack(a, b, trace(a, b))
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// trace returns, for every number of edits, how far each diagonal can be followed.
func trace(a, b []string) [][]int {
	limit := len(a) + len(b)
	reach := make([]int, 2*limit+2)
	var steps [][]int
	for edits := 0; edits <= limit; edits++ {
		steps = append(steps, append([]int(nil), reach...))
		for diagonal := -edits; diagonal <= edits; diagonal += 2 {
			x := furthest(reach, limit, diagonal, edits)
			y := x - diagonal
			for x < len(a) && y < len(b) && a[x] == b[y] {
				x++
				y++
			}
			reach[limit+diagonal] = x
			if x >= len(a) && y >= len(b) {
				return steps
			}
		}
	}
	return steps
}

func furthest(reach []int, limit, diagonal, edits int) int {
	if edits == 0 {
		return 0
	}
	if diagonal == -edits ||
		(diagonal != edits && reach[limit+diagonal-1] < reach[limit+diagonal+1]) {
		return reach[limit+diagonal+1]
	}
	return reach[limit+diagonal-1] + 1
}

func backtrack(a, b []string, steps [][]int) []Line {
	limit := len(a) + len(b)
	x, y := len(a), len(b)
	var reversed []Line
	for edits := len(steps) - 1; edits >= 0; edits-- {
		diagonal := x - y
		previousX, previousY := 0, 0
		if edits > 0 {
			reach := steps[edits]
			previous := diagonal - 1
			if diagonal == -edits ||
				(diagonal != edits && reach[limit+diagonal-1] < reach[limit+diagonal+1]) {
				previous = diagonal + 1
			}
			previousX = reach[limit+previous]
			previousY = previousX - previous
		}
		for x > previousX && y > previousY {
			x--
			y--
			reversed = append(reversed, Line{Equal, a[x]})
		}
		if edits == 0 {
			break
		}
		if x == previousX {
			y--
			reversed = append(reversed, Line{Insert, b[y]})
		} else {
			x--
			reversed = append(reversed, Line{Delete, a[x]})
		}
	}
	lines := make([]Line, len(reversed))
	for i, line := range reversed {
		lines[len(reversed)-1-i] = line
	}
	return lines
}

// Unified writes a comparison in the unified format, with so many equal lines around each change.
func Unified(fromName, toName string, lines []Line, context int) string {
	var out strings.Builder
	for _, hunk := range hunks(lines, context) {
		if out.Len() == 0 {
			fmt.Fprintf(&out, "--- %s\n+++ %s\n", fromName, toName)
		}
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(hunk.fromStart, hunk.fromCount), span(hunk.toStart, hunk.toCount))
		for _, line := range hunk.lines {
			out.WriteByte(" +-"[line.Kind])
			out.WriteString(line.Text)
			out.WriteByte('\n')
		}
	}
	return out.String()
}

type hunk struct {
	fromStart, fromCount int
	toStart, toCount     int
	lines                []Line
}

func hunks(lines []Line, context int) []hunk {
	keep := make([]bool, len(lines))
	for i, line := range lines {
		if line.Kind == Equal {
			continue
		}
		for near := max(0, i-context); near <= min(len(lines)-1, i+context); near++ {
			keep[near] = true
		}
	}
	var found []hunk
	from, to := 0, 0
	for i, line := range lines {
		if keep[i] {
			if i == 0 || !keep[i-1] {
				found = append(found, hunk{fromStart: from, toStart: to})
			}
			last := &found[len(found)-1]
			last.lines = append(last.lines, line)
			if line.Kind != Insert {
				last.fromCount++
			}
			if line.Kind != Delete {
				last.toCount++
			}
		}
		if line.Kind != Insert {
			from++
		}
		if line.Kind != Delete {
			to++
		}
	}
	return found
}

// span counts lines from 1; an empty range is named by the line before it.
func span(start, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", start)
	case 1:
		return fmt.Sprint(start + 1)
	default:
		return fmt.Sprintf("%d,%d", start+1, count)
	}
}

// Stat counts inserted and deleted lines.
func Stat(lines []Line) (inserted, deleted int) {
	for _, line := range lines {
		switch line.Kind {
		case Insert:
			inserted++
		case Delete:
			deleted++
		case Equal:
		}
	}
	return inserted, deleted
}

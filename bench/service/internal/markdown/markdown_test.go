package markdown

import (
	"reflect"
	"strings"
	"testing"
)

func render(t *testing.T, source string) Page {
	t.Helper()
	renderer, err := New("github")
	if err != nil {
		t.Fatal(err)
	}
	page, err := renderer.Render(source)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestRender(t *testing.T) {
	for name, test := range map[string]struct{ source, want string }{
		"paragraph": {"Hello *you*.", "<p>Hello <em>you</em>.</p>\n"},
		"table":     {"|a|\n|-|\n|1|", "<td>1</td>"},
		"task":      {"- [x] done", `type="checkbox"`},
		"code":      {"```go\nfunc main() {}\n```", `<span class="kd">func</span>`},
		"no lexer":  {"```nothing\n<b>\n```", "&lt;b&gt;"},
	} {
		t.Run(name, func(t *testing.T) {
			if page := render(t, test.source); !strings.Contains(string(page.HTML), test.want) {
				t.Errorf("found %q, expected %q in it", page.HTML, test.want)
			}
		})
	}
}

func TestRenderLeavesNoRawHTML(t *testing.T) {
	page := render(t, "<script>alert(1)</script>\n\n[x](javascript:alert(1))")
	if html := string(page.HTML); strings.Contains(html, "<script") || strings.Contains(html, "javascript:") {
		t.Errorf("found %q", html)
	}
}

func TestOutline(t *testing.T) {
	page := render(t, "# One `two`\n\ntext\n\n## Three\n\n## Three\n")
	want := []Heading{{1, "one-two", "One two"}, {2, "three", "Three"}, {2, "three-1", "Three"}}
	if !reflect.DeepEqual(page.Outline, want) {
		t.Errorf("found %v, expected %v", page.Outline, want)
	}
	if page.Words != 5 {
		t.Errorf("found %d words, expected 5", page.Words)
	}
}

func TestText(t *testing.T) {
	renderer, err := New("monokai")
	if err != nil {
		t.Fatal(err)
	}
	want := "Title\nSome bold text\nover lines.\nx := 1\n"
	if found := renderer.Text("# Title\n\nSome **bold** text\nover lines.\n\n```go\nx := 1\n```\n"); found != want {
		t.Errorf("found %q, expected %q", found, want)
	}
}

func TestNewRefusesUnknownStyle(t *testing.T) {
	if _, err := New("none"); err == nil || !strings.Contains(err.Error(), `found "none"`) {
		t.Errorf("found %v", err)
	}
}

func TestStyleSheet(t *testing.T) {
	renderer, err := New("github")
	if err != nil {
		t.Fatal(err)
	}
	if css, err := renderer.StyleSheet(); err != nil || !strings.Contains(css, ".chroma") {
		t.Errorf("found %q, %v", css, err)
	}
}

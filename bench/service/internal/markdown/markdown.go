// Package markdown turns Markdown into HTML, an outline and plain text.
package markdown

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/formatters/html"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/alecthomas/chroma/v2/styles"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Heading is an entry of an outline.
type Heading struct {
	// Level is 1 to 6.
	Level int `json:"level"`
	// ID is the anchor within the page.
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Page is a rendered document.
type Page struct {
	HTML    template.HTML
	Outline []Heading
	// Words is the number of words in the text.
	Words int
}

// Renderer is safe for use by several goroutines.
type Renderer struct {
	markdown goldmark.Markdown
	style    *chroma.Style
}

// New returns a renderer that colours source code in the style of that name.
func New(style string) (*Renderer, error) {
	if _, ok := styles.Registry[style]; !ok {
		return nil, fmt.Errorf("style: found %q, expected one of %s", style, strings.Join(styles.Names(), ", "))
	}
	found := styles.Get(style)
	code := &codeRenderer{style: found, formatter: html.New(html.WithClasses(true), html.TabWidth(4))}
	return &Renderer{
		style: found,
		markdown: goldmark.New(
			goldmark.WithExtensions(extension.GFM, extension.Footnote, extension.DefinitionList),
			goldmark.WithParserOptions(parser.WithAutoHeadingID()),
			// Before the renderer of plain code blocks, which has priority 1000. Raw HTML stays escaped.
			goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(code, 100))),
		),
	}, nil
}

// Render turns a document into a page.
func (r *Renderer) Render(source string) (Page, error) {
	input := []byte(source)
	document := r.Parse(input)
	var out bytes.Buffer
	if err := r.markdown.Renderer().Render(&out, input, document); err != nil {
		return Page{}, fmt.Errorf("render: %w", err)
	}
	return Page{
		// Goldmark escapes what is not Markdown.
		HTML:    template.HTML(out.String()),
		Outline: outline(document, input),
		Words:   len(strings.Fields(PlainText(document, input))),
	}, nil
}

// Parse returns the syntax tree of a document.
func (r *Renderer) Parse(source []byte) ast.Node {
	return r.markdown.Parser().Parse(text.NewReader(source))
}

// Text returns a document without its marks.
func (r *Renderer) Text(source string) string {
	input := []byte(source)
	return PlainText(r.Parse(input), input)
}

// StyleSheet returns the CSS that colours source code.
func (r *Renderer) StyleSheet() (string, error) {
	var out strings.Builder
	err := html.New(html.WithClasses(true)).WriteCSS(&out, r.style)
	return out.String(), err
}

func outline(document ast.Node, source []byte) []Heading {
	headings := []Heading{}
	for node := document.FirstChild(); node != nil; node = node.NextSibling() {
		heading, ok := node.(*ast.Heading)
		if !ok {
			continue
		}
		id, _ := heading.AttributeString("id")
		anchor, _ := id.([]byte)
		headings = append(headings, Heading{
			Level: heading.Level,
			ID:    string(anchor),
			Text:  strings.TrimSpace(PlainText(heading, source)),
		})
	}
	return headings
}

// PlainText returns the text below a node; blocks end with a line break.
func PlainText(node ast.Node, source []byte) string {
	var out strings.Builder
	// The visitor returns no error, so neither does the walk.
	_ = ast.Walk(node, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			if node.Type() == ast.TypeBlock && out.Len() > 0 && !strings.HasSuffix(out.String(), "\n") {
				out.WriteByte('\n')
			}
			return ast.WalkContinue, nil
		}
		switch node := node.(type) {
		case *ast.Text:
			out.Write(node.Segment.Value(source))
			if node.SoftLineBreak() || node.HardLineBreak() {
				out.WriteByte('\n')
			}
		case *ast.String:
			out.Write(node.Value)
		case *ast.AutoLink:
			out.Write(node.Label(source))
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			writeLines(&out, node.Lines(), source)
		}
		return ast.WalkContinue, nil
	})
	return out.String()
}

func writeLines(out *strings.Builder, lines *text.Segments, source []byte) {
	for i := range lines.Len() {
		segment := lines.At(i)
		out.Write(segment.Value(source))
	}
}

// codeRenderer colours fenced code blocks.
type codeRenderer struct {
	style     *chroma.Style
	formatter *html.Formatter
}

func (c *codeRenderer) RegisterFuncs(registerer renderer.NodeRendererFuncRegisterer) {
	registerer.Register(ast.KindFencedCodeBlock, c.render)
}

func (c *codeRenderer) render(out util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	block, ok := node.(*ast.FencedCodeBlock)
	if !ok {
		return ast.WalkStop, fmt.Errorf("found node %s, expected a fenced code block", node.Kind())
	}
	var code strings.Builder
	writeLines(&code, block.Lines(), source)
	lexer := lexers.Get(string(block.Language(source)))
	if lexer == nil {
		lexer = lexers.Fallback
	}
	tokens, err := chroma.Coalesce(lexer).Tokenise(nil, code.String())
	if err != nil {
		return ast.WalkStop, fmt.Errorf("colour source code: %w", err)
	}
	return ast.WalkSkipChildren, c.formatter.Format(out, c.style, tokens)
}

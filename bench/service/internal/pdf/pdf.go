// Package pdf sets Markdown as a PDF file.
package pdf

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"
	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"

	"runner-fleet/bench/service/internal/markdown"
)

// Meta is what a file says about itself.
type Meta struct {
	Title   string
	Author  string
	Updated time.Time
}

// Sizes in millimetres, those of type in points.
const (
	margin     = 20.0
	indent     = 7.0
	textSize   = 11.0
	codeSize   = 9.0
	lineHeight = 5.5
	footerAt   = -14.0
)

var headingSizes = [...]float64{20, 16, 14, 12, 11, 11}

// Write sets a parsed document and writes the file.
func Write(out io.Writer, document ast.Node, source []byte, meta Meta) error {
	file := fpdf.New("P", "mm", "A4", "")
	file.SetMargins(margin, margin, margin)
	file.SetAutoPageBreak(true, margin)
	file.SetTitle(meta.Title, true)
	file.SetAuthor(meta.Author, true)
	// By these the same text gives the same file.
	file.SetCreationDate(meta.Updated)
	file.SetModificationDate(meta.Updated)
	file.SetCatalogSort(true)
	setter := &setter{file: file, source: source, translate: file.UnicodeTranslatorFromDescriptor("")}
	file.SetFooterFunc(func() {
		file.SetY(footerAt)
		file.SetFont("Helvetica", "", 8)
		file.CellFormat(0, 5, setter.translate(fmt.Sprintf("%s · %d", meta.Title, file.PageNo())), "", 0, "C", false, 0, "")
	})
	file.AddPage()
	setter.blocks(document)
	if err := file.Error(); err != nil {
		return fmt.Errorf("set PDF: %w", err)
	}
	return file.Output(out)
}

// setter walks the syntax tree; fpdf keeps the first error and ignores all that follows.
type setter struct {
	file      *fpdf.Fpdf
	source    []byte
	translate func(string) string
	bold      int
	italic    int
	strike    int
	quoted    int
	size      float64
	link      string
}

func (s *setter) blocks(parent ast.Node) {
	for node := parent.FirstChild(); node != nil; node = node.NextSibling() {
		s.block(node)
	}
}

func (s *setter) block(node ast.Node) {
	switch node := node.(type) {
	case *ast.Heading:
		s.heading(node)
	case *ast.Paragraph, *ast.TextBlock:
		s.size = textSize
		s.inlines(node)
		s.file.Ln(lineHeight)
		if node.Kind() == ast.KindParagraph {
			s.file.Ln(lineHeight / 2)
		}
	case *ast.FencedCodeBlock:
		s.code(node.Lines().Value(s.source))
	case *ast.CodeBlock:
		s.code(node.Lines().Value(s.source))
	case *ast.List:
		s.list(node)
	case *ast.Blockquote:
		s.quoted++
		s.indented(indent, func() { s.blocks(node) })
		s.quoted--
	case *ast.ThematicBreak:
		y := s.file.GetY() + lineHeight/2
		width, _ := s.file.GetPageSize()
		s.file.Line(margin, y, width-margin, y)
		s.file.Ln(lineHeight)
	case *east.Table:
		s.table(node)
	case *ast.HTMLBlock:
		// Left out, as in the pages.
	default:
		s.blocks(node)
	}
}

func (s *setter) heading(node *ast.Heading) {
	s.size = headingSizes[min(node.Level, len(headingSizes))-1]
	s.bold++
	s.file.Ln(lineHeight / 2)
	s.file.Bookmark(s.translate(strings.TrimSpace(markdown.PlainText(node, s.source))), node.Level-1, -1)
	s.inlines(node)
	s.bold--
	s.file.Ln(s.size * 0.6)
}

func (s *setter) list(node *ast.List) {
	number := node.Start
	for item := node.FirstChild(); item != nil; item = item.NextSibling() {
		marker := "•"
		if node.IsOrdered() {
			marker = fmt.Sprintf("%d%c", number, node.Marker)
			number++
		}
		s.size = textSize
		s.setFont()
		s.file.CellFormat(indent, lineHeight, s.translate(marker), "", 0, "L", false, 0, "")
		s.indented(indent, func() { s.blocks(item) })
	}
	s.file.Ln(lineHeight / 2)
}

// indented sets what body sets further to the right.
func (s *setter) indented(by float64, body func()) {
	left, top, right, _ := s.file.GetMargins()
	s.file.SetMargins(left+by, top, right)
	s.file.SetX(left + by)
	body()
	s.file.SetMargins(left, top, right)
	s.file.SetX(left)
}

func (s *setter) code(content []byte) {
	s.file.SetFont("Courier", "", codeSize)
	s.file.SetFillColor(243, 244, 246)
	text := strings.ReplaceAll(strings.TrimRight(string(content), "\n"), "\t", "    ")
	s.file.MultiCell(0, codeSize/2, s.translate(text), "", "L", true)
	s.file.Ln(lineHeight / 2)
}

func (s *setter) table(node *east.Table) {
	columns := len(node.Alignments)
	if columns == 0 {
		return
	}
	width, _ := s.file.GetPageSize()
	left, _, right, _ := s.file.GetMargins()
	cell := (width - left - right) / float64(columns)
	s.size = textSize
	for row := node.FirstChild(); row != nil; row = row.NextSibling() {
		header := row.Kind() == east.KindTableHeader
		if header {
			s.bold++
		}
		s.setFont()
		column := 0
		for field := row.FirstChild(); field != nil && column < columns; field = field.NextSibling() {
			text := s.fitting(strings.TrimSpace(markdown.PlainText(field, s.source)), cell)
			s.file.CellFormat(cell, lineHeight+1, text, "1", 0, align(node.Alignments[column]), false, 0, "")
			column++
		}
		if header {
			s.bold--
		}
		s.file.Ln(-1)
	}
	s.file.Ln(lineHeight / 2)
}

// fitting cuts a text that is wider than its cell.
func (s *setter) fitting(text string, width float64) string {
	runes := []rune(text)
	for length := len(runes); length > 0; length-- {
		candidate := string(runes[:length])
		if length < len(runes) {
			candidate += "…"
		}
		if translated := s.translate(candidate); s.file.GetStringWidth(translated) <= width-2 {
			return translated
		}
	}
	return ""
}

func align(alignment east.Alignment) string {
	switch alignment {
	case east.AlignRight:
		return "R"
	case east.AlignCenter:
		return "C"
	default:
		return "L"
	}
}

func (s *setter) inlines(parent ast.Node) {
	for node := parent.FirstChild(); node != nil; node = node.NextSibling() {
		switch node := node.(type) {
		case *ast.Text:
			s.write(string(node.Segment.Value(s.source)))
			if node.HardLineBreak() {
				s.file.Ln(lineHeight)
			} else if node.SoftLineBreak() {
				s.write(" ")
			}
		case *ast.String:
			s.write(string(node.Value))
		case *ast.CodeSpan:
			s.file.SetFont("Courier", "", s.size-1)
			s.file.Write(lineHeight, s.translate(markdown.PlainText(node, s.source)))
		case *ast.Emphasis:
			emphasized := &s.italic
			if node.Level > 1 {
				emphasized = &s.bold
			}
			*emphasized++
			s.inlines(node)
			*emphasized--
		case *east.Strikethrough:
			s.strike++
			s.inlines(node)
			s.strike--
		case *ast.Link:
			s.linked(string(node.Destination), func() { s.inlines(node) })
		case *ast.AutoLink:
			s.linked(string(node.URL(s.source)), func() { s.write(string(node.Label(s.source))) })
		case *ast.Image:
			s.write("[" + markdown.PlainText(node, s.source) + "]")
		case *east.TaskCheckBox:
			box := "[ ] "
			if node.IsChecked {
				box = "[x] "
			}
			s.write(box)
		case *ast.RawHTML:
			// Left out, as in the pages.
		default:
			s.inlines(node)
		}
	}
}

func (s *setter) linked(target string, body func()) {
	outer := s.link
	s.link = target
	body()
	s.link = outer
}

func (s *setter) write(text string) {
	s.setFont()
	if s.link == "" {
		s.file.Write(lineHeight*max(1, s.size/14), s.translate(text))
		return
	}
	s.file.SetTextColor(5, 80, 174)
	s.file.WriteLinkString(lineHeight, s.translate(text), s.link)
	s.file.SetTextColor(0, 0, 0)
}

func (s *setter) setFont() {
	var style strings.Builder
	for _, part := range []struct {
		depth int
		mark  byte
	}{{s.bold, 'B'}, {s.italic + s.quoted, 'I'}, {s.strike, 'S'}} {
		if part.depth > 0 {
			style.WriteByte(part.mark)
		}
	}
	s.file.SetFont("Helvetica", style.String(), s.size)
}

// Bytes sets a document and returns the file.
func Bytes(document ast.Node, source []byte, meta Meta) ([]byte, error) {
	var out bytes.Buffer
	err := Write(&out, document, source, meta)
	return out.Bytes(), err
}

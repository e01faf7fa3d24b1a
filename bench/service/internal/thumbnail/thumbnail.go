// Package thumbnail makes small versions of images and keeps the latest ones.
package thumbnail

import (
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // decoder
	"image/jpeg"
	"image/png"
	"sync"

	_ "golang.org/x/image/bmp" // decoder
	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff" // decoder
	_ "golang.org/x/image/webp" // decoder
)

// MaxPixels bounds what is decoded: a small file can claim to be a huge image.
const MaxPixels = 40_000_000

// ErrNotImage says that the content is no image that can be read.
var ErrNotImage = errors.New("not an image")

// Image is an encoded thumbnail.
type Image struct {
	ContentType   string
	Content       []byte
	Width, Height int
}

// Make scales an image down so that it fits into a square of the given size; smaller ones keep theirs.
// Images with transparency become PNG, others JPEG.
func Make(content []byte, size int) (Image, error) {
	if size < 1 {
		return Image{}, fmt.Errorf("size: found %d, expected at least 1", size)
	}
	header, _, err := image.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return Image{}, fmt.Errorf("%w: %w", ErrNotImage, err)
	}
	if header.Width < 1 || header.Height < 1 || header.Width > MaxPixels/header.Height {
		return Image{}, fmt.Errorf("%w: found %dx%d, expected up to %d pixels", ErrNotImage, header.Width, header.Height, MaxPixels)
	}
	source, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return Image{}, fmt.Errorf("%w: %w", ErrNotImage, err)
	}
	width, height := Fit(source.Bounds().Dx(), source.Bounds().Dy(), size)
	target := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(target, target.Bounds(), source, source.Bounds(), draw.Src, nil)
	return encode(target)
}

func encode(target *image.RGBA) (Image, error) {
	made := Image{Width: target.Rect.Dx(), Height: target.Rect.Dy()}
	var out bytes.Buffer
	if target.Opaque() {
		made.ContentType = "image/jpeg"
		if err := jpeg.Encode(&out, target, &jpeg.Options{Quality: 85}); err != nil {
			return Image{}, err
		}
	} else {
		made.ContentType = "image/png"
		if err := png.Encode(&out, target); err != nil {
			return Image{}, err
		}
	}
	made.Content = out.Bytes()
	return made, nil
}

// Fit returns the largest width and height of the same shape within a square, but never more than they were.
func Fit(width, height, size int) (int, int) {
	largest := max(width, height)
	if largest <= size {
		return width, height
	}
	return max(1, (width*size+largest/2)/largest), max(1, (height*size+largest/2)/largest)
}

// Average returns the mean colour of an image, a placeholder while it loads.
func Average(content []byte) (color.RGBA, error) {
	small, err := Make(content, 16)
	if err != nil {
		return color.RGBA{}, err
	}
	decoded, _, err := image.Decode(bytes.NewReader(small.Content))
	if err != nil {
		return color.RGBA{}, err
	}
	var red, green, blue, alpha, count uint64
	for y := decoded.Bounds().Min.Y; y < decoded.Bounds().Max.Y; y++ {
		for x := decoded.Bounds().Min.X; x < decoded.Bounds().Max.X; x++ {
			r, g, b, a := decoded.At(x, y).RGBA()
			red, green, blue, alpha = red+uint64(r), green+uint64(g), blue+uint64(b), alpha+uint64(a)
			count++
		}
	}
	return color.RGBA{uint8(red / count >> 8), uint8(green / count >> 8), uint8(blue / count >> 8), uint8(alpha / count >> 8)}, nil
}

// Cache keeps the thumbnails that were asked for last. It is safe for use by several goroutines.
type Cache struct {
	mutex    sync.Mutex
	capacity int
	order    *list.List
	entries  map[string]*list.Element
}

type cached struct {
	key   string
	image Image
}

// NewCache returns a cache for so many thumbnails.
func NewCache(capacity int) *Cache {
	return &Cache{capacity: capacity, order: list.New(), entries: map[string]*list.Element{}}
}

// Get returns the thumbnail of that key and makes it where it is not there. Errors are not kept.
func (c *Cache) Get(key string, produce func() (Image, error)) (Image, error) {
	c.mutex.Lock()
	if element, ok := c.entries[key]; ok {
		c.order.MoveToFront(element)
		found := element.Value.(cached).image
		c.mutex.Unlock()
		return found, nil
	}
	c.mutex.Unlock()
	// Not under the lock: one slow image must not hold up the others.
	made, err := produce()
	if err != nil {
		return Image{}, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if element, ok := c.entries[key]; ok {
		c.order.MoveToFront(element)
		return made, nil
	}
	c.entries[key] = c.order.PushFront(cached{key, made})
	for c.order.Len() > c.capacity {
		oldest := c.order.Back()
		delete(c.entries, oldest.Value.(cached).key)
		c.order.Remove(oldest)
	}
	return made, nil
}

// Len returns the number of thumbnails that are kept.
func (c *Cache) Len() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.order.Len()
}

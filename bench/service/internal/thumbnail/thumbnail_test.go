package thumbnail

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"testing"
)

func picture(t *testing.T, width, height int, fill color.Color) []byte {
	t.Helper()
	source := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			source.Set(x, y, fill)
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, source); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFit(t *testing.T) {
	for _, test := range []struct{ width, height, size, wantWidth, wantHeight int }{
		{100, 50, 10, 10, 5},
		{50, 100, 10, 5, 10},
		{5, 5, 10, 5, 5},
		{1000, 1, 10, 10, 1},
	} {
		if width, height := Fit(test.width, test.height, test.size); width != test.wantWidth || height != test.wantHeight {
			t.Errorf("%dx%d into %d: found %dx%d", test.width, test.height, test.size, width, height)
		}
	}
}

func TestMake(t *testing.T) {
	for name, test := range map[string]struct {
		fill color.Color
		want string
	}{
		"opaque":      {color.RGBA{200, 10, 10, 255}, "image/jpeg"},
		"transparent": {color.RGBA{100, 0, 0, 128}, "image/png"},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := Make(picture(t, 120, 60, test.fill), 30)
			if err != nil {
				t.Fatal(err)
			}
			decoded, _, err := image.Decode(bytes.NewReader(made.Content))
			if err != nil {
				t.Fatal(err)
			}
			if made.ContentType != test.want || decoded.Bounds().Dx() != 30 || decoded.Bounds().Dy() != 15 {
				t.Errorf("found %s of %v", made.ContentType, decoded.Bounds())
			}
		})
	}
}

func TestMakeRefuses(t *testing.T) {
	if _, err := Make([]byte("text"), 10); !errors.Is(err, ErrNotImage) {
		t.Errorf("text: found %v", err)
	}
	if _, err := Make(picture(t, 2, 2, color.Black), 0); err == nil {
		t.Error("size 0: found no error")
	}
	// The header of a PNG of 2^31-1 pixels each way.
	huge := picture(t, 1, 1, color.Black)
	copy(huge[16:24], []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff})
	if _, err := Make(huge, 10); !errors.Is(err, ErrNotImage) {
		t.Errorf("huge: found %v", err)
	}
}

func TestAverage(t *testing.T) {
	mean, err := Average(picture(t, 64, 64, color.RGBA{200, 100, 50, 255}))
	if err != nil {
		t.Fatal(err)
	}
	for _, channel := range []struct{ found, want uint8 }{{mean.R, 200}, {mean.G, 100}, {mean.B, 50}, {mean.A, 255}} {
		if difference := int(channel.found) - int(channel.want); difference < -3 || difference > 3 {
			t.Errorf("found %v", mean)
		}
	}
}

func TestCacheKeepsTheLatest(t *testing.T) {
	cache := NewCache(2)
	made := 0
	get := func(key string) {
		t.Helper()
		image, err := cache.Get(key, func() (Image, error) {
			made++
			return Image{ContentType: key}, nil
		})
		if err != nil || image.ContentType != key {
			t.Errorf("%s: found %v, %v", key, image, err)
		}
	}
	for _, key := range []string{"a", "b", "a", "c", "a", "b"} {
		get(key)
	}
	if made != 4 || cache.Len() != 2 {
		t.Errorf("made %d and kept %d, expected 4 and 2", made, cache.Len())
	}
	failure := fmt.Errorf("broken")
	if _, err := cache.Get("x", func() (Image, error) { return Image{}, failure }); !errors.Is(err, failure) {
		t.Errorf("found %v", err)
	}
	if cache.Len() != 2 {
		t.Error("an error was kept")
	}
}

package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
)

var pngMagic = []byte("\x89PNG\r\n\x1a\n")

// A picture holds stored values, channels first: [1 H W] for gray, [3 H W] for red, green, blue.
type picture struct {
	shape []int
	x     []float64
	scale float64 // what brings the values to [0, 1]: 1/255 or 1/65535
}

// readPNG reads a gray, colour or palette picture of up to 16 bits a channel. A transparent one has no values before it is put
// on a background, and is refused. Gray with 1, 2 or 4 bits is read as bytes, its largest value being 255.
func readPNG(b []byte, limit int64) (*picture, error) {
	if err := checkPNGSize(b, limit); err != nil {
		return nil, err
	}
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, &Error{Why: "the PNG file is damaged: " + err.Error(), Next: "copy or download it again", Err: err}
	}
	if o, ok := m.(interface{ Opaque() bool }); !ok || !o.Opaque() {
		return nil, &Error{Why: "the picture is transparent in places; what a network sees there depends on a background",
			Next: "save it without an alpha channel", Err: ErrUnsupported}
	}
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	p := &picture{shape: []int{1, h, w}, scale: 1.0 / 255}
	gray := false
	switch m := m.(type) {
	case *image.Gray:
		gray = true
	case *image.Gray16:
		gray, p.scale = true, 1.0/65535
	case *image.RGBA64, *image.NRGBA64:
		p.scale = 1.0 / 65535
	case *image.Paletted:
		gray = grayPalette(m.Palette)
	}
	if !gray {
		p.shape[0] = 3
	}
	p.x = make([]float64, p.shape[0]*h*w)
	shift := 0
	if p.scale == 1.0/255 {
		shift = 8 // the 16 bits of RGBA() are the byte twice
	}
	for y := range h {
		for x := range w {
			r, g, b, _ := rgba(m, x, y)
			at := y*w + x
			p.x[at] = float64(r >> shift)
			if !gray {
				p.x[at+h*w], p.x[at+2*h*w] = float64(g>>shift), float64(b>>shift)
			}
		}
	}
	return p, nil
}

// rgba returns the 16-bit channels of a pixel, without allocating for the common kinds.
func rgba(m image.Image, x, y int) (r, g, b, a uint32) {
	switch m := m.(type) {
	case *image.Gray:
		return m.GrayAt(x, y).RGBA()
	case *image.RGBA:
		return m.RGBAAt(x, y).RGBA()
	case *image.NRGBA:
		return m.NRGBAAt(x, y).RGBA()
	case *image.Gray16:
		return m.Gray16At(x, y).RGBA()
	case *image.RGBA64:
		return m.RGBA64At(x, y).RGBA()
	case *image.NRGBA64:
		return m.NRGBA64At(x, y).RGBA()
	}
	return m.At(x, y).RGBA()
}

func grayPalette(p color.Palette) bool {
	for _, c := range p {
		if r, g, b, _ := c.RGBA(); r != g || g != b {
			return false
		}
	}
	return true
}

// checkPNGSize compares the size in the header with what the file can hold, before the decoder allocates it.
func checkPNGSize(b []byte, limit int64) error {
	const header = 8 + 8 + 13
	if len(b) < header || !bytes.HasPrefix(b, pngMagic) || string(b[12:16]) != "IHDR" {
		return &Error{Where: "byte 0", Why: "no PNG file, or one that is cut off", Next: "copy or download it again"}
	}
	w, h := uint64(binary.BigEndian.Uint32(b[16:])), uint64(binary.BigEndian.Uint32(b[20:]))
	perPixel, ok := map[byte]uint64{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[b[25]]
	if !ok || w > 1<<31-1 || h > 1<<31-1 || w == 0 || h == 0 {
		return &Error{Where: "byte 16", Why: fmt.Sprintf("the PNG header declares %d × %d pixels of type %d", w, h, b[25])}
	}
	if w*h > uint64(limit)/(3*8) {
		return &Error{Where: "byte 16", Why: fmt.Sprintf("%d × %d pixels exceed the limit of %d bytes", w, h, limit),
			Err: ErrLimit}
	}
	if raw := h * ((w*perPixel*uint64(b[24]) + 7) / 8); raw > deflateRatio*uint64(len(b)) {
		return &Error{Where: "byte 16", Why: fmt.Sprintf("%d × %d pixels are declared, which %d bytes cannot hold", w, h, len(b)),
			Next: "the file is cut off: copy or download it again"}
	}
	return nil
}

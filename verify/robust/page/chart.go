package page

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Curve is a step function of the radius: it has Y[i] from X[i] on, up to X[i+1], and ends at the chart's edge. With Before it
// has Y[i] up to and including X[i] instead, from X[i−1] on. X increases.
type Curve struct {
	Name   string
	Class  string // the CSS class: proved, open or clean
	X, Y   []float64
	Before bool
}

// A Chart shows shares, 0 to 1, over the radius. What lies between the curves Between[0] and Between[1] is shaded as not known.
type Chart struct {
	Title, XName, YName string
	Curves              []Curve
	Between             [2]int // equal: nothing is shaded
	Most                float64
}

const (
	chartW, chartH               = 640, 320
	left, right, top, bottom     = 56, 16, 14, 46
	plotW, plotH             int = chartW - left - right, chartH - top - bottom
	svgStyle                     = `.cv{color:#1a1d21;background:#fff}.cv text{fill:currentColor;font:12px system-ui,sans-serif}.cv .axis{stroke:currentColor;opacity:.55}.cv .rule{stroke:currentColor;opacity:.13}.cv polyline{fill:none;stroke-width:2.4}.cv .proved{stroke:#1f6fb5}.cv .open{stroke:#c4501b}.cv .clean{stroke:currentColor;stroke-dasharray:5 4;opacity:.7}.cv .band{fill:#8a8f98;opacity:.22;stroke:none}.cv .key{font-weight:600}@media(prefers-color-scheme:dark){.cv{color:#e8eaed;background:#15181c}.cv .proved{stroke:#62b0f0}.cv .open{stroke:#f08a55}}@media print{.cv{color:#000;background:#fff}.cv .proved{stroke:#1f6fb5}.cv .open{stroke:#c4501b}}`
)

// WriteSVG writes the chart as a file of its own.
func (c *Chart) WriteSVG(w io.Writer) error {
	_, err := io.WriteString(w, c.svg(true))
	return err
}

// svg draws the chart. It is written by hand, as benchmarks.Cactus is: two step curves need no library, and the text stays small,
// readable and free of generated identifiers, so that a page may hold several.
func (c *Chart) svg(alone bool) string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" class="cv" role="img" viewBox="0 0 ` + strconv.Itoa(chartW) + " " +
		strconv.Itoa(chartH) + `"`)
	if alone {
		fmt.Fprintf(&b, ` width="%d" height="%d"`, chartW, chartH)
	}
	fmt.Fprintf(&b, "><title>%s</title>\n", html.EscapeString(c.Title))
	if alone {
		b.WriteString("<style>" + svgStyle + "</style><rect width=\"100%\" height=\"100%\" fill=\"white\" class=\"paper\"/>\n")
	}
	c.axes(&b)
	if c.Between[0] != c.Between[1] {
		up, down := c.points(&c.Curves[c.Between[0]]), c.points(&c.Curves[c.Between[1]])
		slices.Reverse(down)
		fmt.Fprintf(&b, "<polygon class=\"band\" points=\"%s\"/>\n", strings.Join(append(up, down...), " "))
	}
	for i := range c.Curves {
		k := &c.Curves[i]
		fmt.Fprintf(&b, "<polyline class=\"%s\" points=\"%s\"/>\n", k.Class, strings.Join(c.points(k), " "))
	}
	c.legend(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

func (c *Chart) x(v float64) float64 { return left + float64(plotW)*min(v/c.Most, 1) }

func (c *Chart) y(v float64) float64 { return top + float64(plotH)*(1-v) }

// points are the corners of a curve.
func (c *Chart) points(k *Curve) (out []string) {
	put := func(x, y float64) { out = append(out, fmt.Sprintf("%.1f,%.1f", c.x(x), c.y(y))) }
	for i := range k.X {
		if k.X[i] > c.Most {
			break
		}
		switch {
		case k.Before && i > 0:
			put(k.X[i-1], k.Y[i])
		case !k.Before && i > 0:
			put(k.X[i], k.Y[i-1])
		}
		put(k.X[i], k.Y[i])
	}
	if n := len(k.X); !k.Before && n > 0 && k.X[n-1] < c.Most {
		put(c.Most, k.Y[n-1])
	}
	return out
}

func (c *Chart) axes(b *strings.Builder) {
	for k := range 6 {
		v := float64(k) / 5
		fmt.Fprintf(b, "<line class=\"rule\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" "+
			"text-anchor=\"end\">%d %%</text>\n",
			left, chartW-right, c.y(v), c.y(v), left-8, c.y(v)+4, 20*k)
	}
	step := niceStep(c.Most / 6)
	for k := 0; float64(k)*step <= c.Most*(1+1e-9); k++ {
		v := float64(k) * step
		fmt.Fprintf(b, "<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/><text x=\"%.1f\" y=\"%d\" "+
			"text-anchor=\"middle\">%s</text>\n",
			c.x(v), c.x(v), top, top+plotH, c.x(v), top+plotH+18, strconv.FormatFloat(v, 'g', 3, 64))
	}
	fmt.Fprintf(b, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", left, chartW-right, top+plotH, top+plotH)
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", left+plotW/2, chartH-8, html.EscapeString(c.XName))
}

// legend names the curves at the lower left, where both have least to say, or at the upper right.
func (c *Chart) legend(b *strings.Builder) {
	x, y := left+14, top+plotH-18*len(c.Curves)-4
	if c.full() {
		x, y = chartW-right-230, top+8
	}
	for i := range c.Curves {
		yy := y + 18*i + 8
		fmt.Fprintf(b, "<polyline class=\"%s\" points=\"%d,%d %d,%d\"/><text class=\"key\" x=\"%d\" y=\"%d\">%s</text>\n",
			c.Curves[i].Class, x, yy, x+24, yy,
			x+31, yy+4, html.EscapeString(c.Curves[i].Name))
	}
}

// full reports whether the lower left of the chart is taken.
func (c *Chart) full() bool {
	for i := range c.Curves {
		k := &c.Curves[i]
		for j := range k.X {
			if k.X[j] <= 0.55*c.Most && k.Y[j] < 0.3 {
				return true
			}
		}
	}
	return false
}

// niceStep returns the least of 1, 2, 5 times a power of ten that is not below v.
func niceStep(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

package benchmarks

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Curve is one line of a cactus plot: the seconds of the solved instances, ascending.
type Curve struct {
	Name    string
	Seconds []float64
}

// NewCurve returns the curve of a side over the given instances.
func NewCurve(s *Side, keys []string) Curve {
	c := Curve{Name: s.Name}
	for _, k := range keys {
		if a, ok := s.Answers[k]; ok && a.Solved() {
			c.Seconds = append(c.Seconds, a.Seconds)
		}
	}
	slices.Sort(c.Seconds)
	return c
}

// The page in pixels; the plot is what the margins leave.
const (
	svgWidth, svgHeight                      = 760, 470
	plotLeft, plotRight, plotTop, plotBottom = 70, 740, 44, 414
)

// shortest is the least time drawn, in seconds: shorter ones lie on the axis.
const shortest = 1e-3

// Eight colours that stay apart for colour-blind readers (Okabe and Ito); a further round of curves is dashed.
var curveColours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933"}

// Cactus writes curves as a self-contained SVG document: how many instances (horizontal) are solved within which time each
// (vertical, logarithmic). Curves further right and lower are better. The output depends on the arguments only.
func Cactus(w io.Writer, title string, curves []Curve) error {
	p := &plot{Writer: bufio.NewWriter(w)}
	p.scales(curves)
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`font-family="Helvetica, Arial, sans-serif" font-size="12">`+"\n", svgWidth, svgHeight, svgWidth, svgHeight)
	p.printf("<title>%s</title>\n", escape(title))
	p.printf(`<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", svgWidth, svgHeight)
	p.printf(`<text x="%d" y="26" font-size="15" fill="#222222">%s</text>`+"\n", plotLeft, escape(title))
	p.axes()
	for i, c := range curves {
		p.curve(i, c)
	}
	p.legend(curves)
	p.printf("</svg>\n")
	if err := p.Flush(); err != nil {
		return fmt.Errorf("benchmarks: %w", err)
	}
	return nil
}

// plot maps counts and seconds to pixels.
type plot struct {
	*bufio.Writer
	xMax, xStep  float64
	yLow, yHigh  int // decades
	pixelsPerLog float64
}

// printf writes; the writer keeps the first error until Flush.
func (p *plot) printf(format string, args ...any) { fmt.Fprintf(p.Writer, format, args...) }

func (p *plot) scales(curves []Curve) {
	most, low, high := 1, math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		most = max(most, len(c.Seconds))
		for _, s := range c.Seconds {
			low, high = min(low, max(s, shortest)), max(high, max(s, shortest))
		}
	}
	if low > high {
		low, high = 0.1, 1
	}
	p.yLow, p.yHigh = int(math.Floor(math.Log10(low))), int(math.Ceil(math.Log10(high)))
	if p.yHigh == p.yLow {
		p.yHigh++
	}
	p.xStep = niceStep(float64(most) / 8)
	p.xMax = math.Ceil(float64(most)/p.xStep) * p.xStep
	p.pixelsPerLog = float64(plotBottom-plotTop) / float64(p.yHigh-p.yLow)
}

// niceStep returns the least of 1, 2, 5, 10, 20, … that is not below x.
func niceStep(x float64) float64 {
	for unit := 1.0; ; unit *= 10 {
		for _, f := range []float64{1, 2, 5} {
			if f*unit >= x {
				return f * unit
			}
		}
	}
}

func (p *plot) x(count float64) float64 {
	return plotLeft + count/p.xMax*float64(plotRight-plotLeft)
}

func (p *plot) y(seconds float64) float64 {
	return plotBottom - (math.Log10(max(seconds, shortest))-float64(p.yLow))*p.pixelsPerLog
}

func (p *plot) axes() {
	p.printf("<g stroke=\"#dddddd\" fill=\"none\">\n")
	for v := 0.0; v <= p.xMax; v += p.xStep {
		p.printf(`<path d="M%.1f %d V%d"/>`+"\n", p.x(v), plotTop, plotBottom)
	}
	for d := p.yLow; d <= p.yHigh; d++ {
		p.printf(`<path d="M%d %.1f H%d"/>`+"\n", plotLeft, p.y(math.Pow10(d)), plotRight)
	}
	p.printf("</g>\n<path d=\"M%d %d V%d H%d\" stroke=\"#444444\" fill=\"none\"/>\n", plotLeft, plotTop, plotBottom, plotRight)
	p.printf("<g fill=\"#444444\" text-anchor=\"middle\">\n")
	for v := 0.0; v <= p.xMax; v += p.xStep {
		p.printf(`<text x="%.1f" y="%d">%.0f</text>`+"\n", p.x(v), plotBottom+18, v)
	}
	p.printf(`<text x="%d" y="%d">instances solved</text>`+"\n", (plotLeft+plotRight)/2, plotBottom+40)
	p.printf("</g>\n<g fill=\"#444444\" text-anchor=\"end\">\n")
	for d := p.yLow; d <= p.yHigh; d++ {
		p.printf(`<text x="%d" y="%.1f">%s s</text>`+"\n", plotLeft-8, p.y(math.Pow10(d))+4,
			strconv.FormatFloat(math.Pow10(d), 'f', -1, 64))
	}
	p.printf("</g>\n<text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\" fill=\"#444444\">time of each</text>\n",
		(plotTop+plotBottom)/2)
}

func (p *plot) curve(i int, c Curve) {
	if len(c.Seconds) == 0 {
		return
	}
	var points strings.Builder
	for n, s := range c.Seconds {
		if n > 0 {
			points.WriteByte(' ')
		}
		fmt.Fprintf(&points, "%.1f,%.1f", p.x(float64(n+1)), p.y(s))
	}
	p.printf(`<polyline points="%s" %s/>`+"\n", points.String(), strokeOf(i))
	last := len(c.Seconds) - 1 // a dot ends the line, and shows a curve of one instance
	p.printf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", p.x(float64(last+1)), p.y(c.Seconds[last]), colourOf(i))
}

func colourOf(i int) string { return curveColours[i%len(curveColours)] }

func strokeOf(i int) string {
	s := fmt.Sprintf(`fill="none" stroke="%s" stroke-width="2"`, colourOf(i))
	if round := i / len(curveColours); round > 0 {
		s += fmt.Sprintf(` stroke-dasharray="%d 3"`, 3+2*round)
	}
	return s
}

// legend lies in the upper left corner, where a cactus seldom has a curve; the veil keeps it readable when one is there.
func (p *plot) legend(curves []Curve) {
	widest := 0
	for _, c := range curves {
		widest = max(widest, utf8.RuneCountInString(c.Name))
	}
	p.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="#ffffff" fill-opacity="0.85"/>`+"\n", plotLeft+6, plotTop+5, 90+7*widest,
		8+18*len(curves))
	for i, c := range curves {
		y := plotTop + 18 + 18*i
		p.printf(`<path d="M%d %d h24" %s/>`+"\n", plotLeft+12, y, strokeOf(i))
		p.printf(`<text x="%d" y="%d" fill="#222222">%s (%d)</text>`+"\n", plotLeft+44, y+4, escape(c.Name), len(c.Seconds))
	}
}

// escape makes text safe inside an XML element.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

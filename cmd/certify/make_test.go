package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spai-project/certify/cmd/certify/demo"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/op"
)

// makeMain is the command `mk` of the scripts: it writes models and queries, good and bad.
//
//	mk net FILE SEED N0 N1 …     a ReLU network        mk bad KIND FILE           see badModel
//	mk box FILE IN OUT LO HI ROW a VNN-LIB 1.0 query   mk random FILE N           N random bytes
//	mk head SRC DST N            the first N bytes     mk gzip SRC DST            compressed
//	mk larger FILE [OP]          which of two inputs is larger, as relu(x), with OP behind it
//	mk nan FILE                  a .npy array of two items of two values, one of them NaN
func makeMain() {
	if err := mk(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mk:", err)
		os.Exit(1)
	}
}

func mk(a []string) error {
	switch a[0] {
	case "net":
		var n []int
		for _, s := range a[2:] {
			n = append(n, number(s))
		}
		return os.WriteFile(a[1], encodeDraft(demo.Network(uint64(n[0]), n[1:]...)), 0o644)
	case "bad":
		d, err := badModel(a[1])
		if err != nil {
			return err
		}
		return os.WriteFile(a[2], encodeDraft(d), 0o644)
	case "box":
		return os.WriteFile(a[1], []byte(boxQuery(number(a[2]), number(a[3]), a[4], a[5], a[6])), 0o644)
	case "larger":
		return os.WriteFile(a[1], encodeDraft(largerNet(a[2:])), 0o644)
	case "nan":
		var b bytes.Buffer
		if err := data.WriteNPY(&b, []int{2, 2}, []float32{0.5, 0.25, 0.5, float32(math.NaN())}); err != nil {
			return err
		}
		return os.WriteFile(a[1], b.Bytes(), 0o644)
	case "random":
		r := rand.New(rand.NewPCG(1, 1))
		b := make([]byte, number(a[2]))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return os.WriteFile(a[1], b, 0o644)
	case "head":
		b, err := os.ReadFile(a[1])
		if err != nil {
			return err
		}
		return os.WriteFile(a[2], b[:number(a[3])], 0o644)
	case "gzip":
		b, err := os.ReadFile(a[1])
		if err != nil {
			return err
		}
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(b) // a bytes.Buffer does not fail
		_ = w.Close()
		return os.WriteFile(a[2], z.Bytes(), 0o644)
	}
	return fmt.Errorf("unknown %q", a[0])
}

// largerNet tells which of two inputs is larger: its radius is half of their difference.
func largerNet(ops []string) *nn.Draft {
	d := demo.Network(1, 2, 2, 2)
	for i := range d.Consts {
		w := d.Consts[i].Tensor.Data
		clear(w)
		if len(w) == 4 {
			w[0], w[3] = 1, 1
		}
	}
	last := len(d.Nodes) - 1
	for _, o := range ops {
		d.Nodes[last].Out[0] = "scores"
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: "last", Type: o, Opset: 13}, In: []string{"scores"}, Out: []string{"y"}})
	}
	return d
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// boxQuery asks about the box [lo,hi]^in.
func boxQuery(in, out int, lo, hi, row string) string {
	var b strings.Builder
	for i := range in {
		fmt.Fprintf(&b, "(declare-const X_%d Real)\n", i)
	}
	for i := range out {
		fmt.Fprintf(&b, "(declare-const Y_%d Real)\n", i)
	}
	for i := range in {
		fmt.Fprintf(&b, "(assert (>= X_%d %s))\n(assert (<= X_%d %s))\n", i, lo, i, hi)
	}
	fmt.Fprintf(&b, "(assert %s)\n", row)
	return b.String()
}

// badModel spoils a 2→3→2 network.
func badModel(kind string) (*nn.Draft, error) {
	d := demo.Network(1, 2, 3, 2)
	switch kind {
	case "cyclic":
		d.Nodes[0].In[0] = d.Nodes[1].Out[0]
	case "nan":
		d.Consts[0].Tensor.Data[2] = math.NaN()
	case "shapes":
		d.Consts[0].Tensor.Shape = []int{3, 2}
	case "sigmoid":
		d.Nodes[1].Type = "Sigmoid"
	case "operator":
		d.Nodes[1].Type = "Cos"
	case "unheard":
		d.Nodes[1].Type = "Frobnicate"
	case "twoinputs":
		d.Inputs = append(d.Inputs, nn.DraftPort{Name: "x2", Type: op.Float32, Shape: []int{1, 3}})
		d.Nodes = append(d.Nodes[:1], append([]nn.DraftNode{{Node: op.Node{Name: "add", Type: "Add", Opset: 13}, In: []string{"z1", "x2"},
			Out: []string{"s"}}}, d.Nodes[1:]...)...)
		d.Nodes[2].In[0] = "s"
	default:
		return nil, fmt.Errorf("unknown kind %q", kind)
	}
	return d, nil
}

// encodeDraft writes a draft as an ONNX file without checking anything.
func encodeDraft(d *nn.Draft) []byte {
	str := func(b []byte, f protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, f, protowire.BytesType), s)
	}
	msg := func(b []byte, f protowire.Number, m []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, f, protowire.BytesType), m)
	}
	num := func(b []byte, f protowire.Number, v int) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, f, protowire.VarintType), uint64(v))
	}
	var g []byte
	for _, n := range d.Nodes {
		var m []byte
		for _, s := range n.In {
			m = str(m, 1, s)
		}
		for _, s := range n.Out {
			m = str(m, 2, s)
		}
		g = msg(g, 1, str(str(m, 3, n.Name), 4, n.Type))
	}
	for _, c := range d.Consts {
		var m, raw []byte
		for _, s := range c.Tensor.Shape {
			m = num(m, 1, s)
		}
		for _, x := range c.Tensor.Data {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(x)))
		}
		g = msg(g, 5, msg(str(num(m, 2, 1), 8, c.Name), 9, raw))
	}
	port := func(p nn.DraftPort) []byte {
		var shape []byte
		for _, s := range p.Shape {
			shape = msg(shape, 1, num(nil, 1, s))
		}
		return msg(str(nil, 1, p.Name), 2, msg(nil, 1, msg(num(nil, 1, 1), 2, shape)))
	}
	for _, p := range d.Inputs {
		g = msg(g, 11, port(p))
	}
	for _, p := range d.Outputs {
		g = msg(g, 12, port(p))
	}
	return msg(msg(num(nil, 1, 7), 7, g), 8, num(nil, 2, d.Opset))
}

// expectMain is the command `expect` of the scripts: it runs a command, interrupts it after -int, or as soon as it writes -on to
// stderr, if given, and fails unless it ends with -code and -within the given time.
func expectMain() {
	fs := flag.NewFlagSet("expect", flag.ExitOnError)
	code := fs.Int("code", 0, "")
	interrupt := fs.Duration("int", 0, "")
	term := fs.Bool("term", false, "")
	on := fs.String("on", "", "")
	within := fs.Duration("within", time.Minute, "")
	_ = fs.Parse(os.Args[1:]) // ExitOnError
	cmd := exec.Command(fs.Arg(0), fs.Args()[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if *on != "" {
		cmd.Stderr = &watcher{text: *on, seen: func() { _ = cmd.Process.Signal(os.Interrupt) }}
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "expect:", err)
		os.Exit(1)
	}
	if *interrupt > 0 {
		sig := os.Signal(os.Interrupt)
		if *term {
			sig = syscall.SIGTERM
		}
		time.AfterFunc(*interrupt, func() { _ = cmd.Process.Signal(sig) })
	}
	err := cmd.Wait()
	wall := time.Since(begin)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "expect:", err)
		os.Exit(1)
	}
	if got := cmd.ProcessState.ExitCode(); got != *code || wall > *within {
		fmt.Fprintf(os.Stderr, "expect: exit status %d after %v, want %d within %v\n", got, wall, *code, *within)
		os.Exit(1)
	}
}

// A watcher hands what is written on to stderr and calls seen when text came for the first time.
type watcher struct {
	text, all string
	seen      func()
}

func (w *watcher) Write(b []byte) (int, error) {
	if w.all += string(b); w.seen != nil && strings.Contains(w.all, w.text) {
		w.seen()
		w.seen = nil
	}
	return os.Stderr.Write(b)
}

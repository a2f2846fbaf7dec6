package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/spec"
)

func (a *app) inspectCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect MODEL|QUERY...",
		Short: "Show shapes, operators and their support, sizes; of a query its boxes, cases and vacuity",
		Args:  cobra.MinimumNArgs(1),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per file")
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		for _, path := range args {
			path, err := locate(path)
			if err != nil {
				return err
			}
			query, err := isQuery(path)
			if err != nil {
				return err
			}
			view := inspectModel
			if query {
				view = inspectQuery
			}
			v, err := view(path)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(a.out).Encode(v)
			} else {
				_, err = fmt.Fprint(a.out, v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return c
}

// A modelView is what inspect says about a model.
type modelView struct {
	Path     string       `json:"path"`
	SHA256   string       `json:"sha256"`
	Producer string       `json:"producer,omitempty"`
	Opset    int          `json:"opset"`
	Inputs   []portView   `json:"inputs"`
	Outputs  []portView   `json:"outputs"`
	Params   int64        `json:"params"`
	MACs     int64        `json:"macs"`
	Relus    int64        `json:"relus"`
	Nodes    int          `json:"nodes"`
	Ops      []nn.OpCount `json:"operators"`
	Refused  []string     `json:"unsupported"` // why, one per node
}

type portView struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"`
}

func inspectModel(path string) (fmt.Stringer, error) {
	g, err := loadModel(path)
	if err != nil {
		return nil, err
	}
	s := g.Summary()
	v := &modelView{Path: path, SHA256: g.Hash, Producer: g.Producer, Opset: g.Opset, Params: s.Params, MACs: s.MACs, Relus: s.Relus,
		Nodes: s.Nodes, Ops: s.Ops, Refused: []string{}}
	for _, p := range s.Inputs {
		v.Inputs = append(v.Inputs, portView{p.Name, typeNames[p.Type], p.Shape})
	}
	for _, p := range s.Outputs {
		v.Outputs = append(v.Outputs, portView{p.Name, typeNames[p.Type], p.Shape})
	}
	_, err = g.Lower()
	var uns *nn.UnsupportedError
	if errors.As(err, &uns) {
		for i := range uns.Nodes {
			v.Refused = append(v.Refused, uns.Nodes[i].Error())
		}
	} else if err != nil {
		return nil, modelError(path, err)
	}
	return v, nil
}

// String writes the view for people.
func (v *modelView) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "model      %s   sha256 %s\n", v.Path, v.SHA256)
	fmt.Fprintf(&b, "format     opset %d   producer %q\n", v.Opset, v.Producer)
	for _, p := range v.Inputs {
		fmt.Fprintf(&b, "input      %s %s%v   %d values\n", p.Name, p.Type, p.Shape, op.Size(p.Shape))
	}
	for _, p := range v.Outputs {
		fmt.Fprintf(&b, "output     %s %s%v   %d values\n", p.Name, p.Type, p.Shape, op.Size(p.Shape))
	}
	fmt.Fprintf(&b, "size       %d nodes, %d weights, %d ReLU elements, %d multiply-accumulates\n", v.Nodes, v.Params, v.Relus, v.MACs)
	for _, o := range v.Ops {
		support := "bounded"
		if !o.Lowers {
			support = "no rigorous bounds"
		}
		fmt.Fprintf(&b, "operator   %-20s %4d node(s) %8d elements   %s\n", o.Type, o.Count, o.Elements, support)
	}
	if len(v.Refused) == 0 {
		fmt.Fprintln(&b, "verdict    every node can be verified soundly")
	}
	for _, r := range v.Refused {
		fmt.Fprintf(&b, "refused    %s\n", r)
	}
	return b.String()
}

// A queryView is what inspect says about a query.
type queryView struct {
	Path    string    `json:"path"`
	SHA256  string    `json:"sha256"`
	Version string    `json:"version"`
	Inputs  int       `json:"inputs"`
	Outputs int       `json:"outputs"`
	Vars    []varView `json:"variables"`
	Cases   int       `json:"cases"`
	Rows    int       `json:"rows"`
	Boxes   []boxView `json:"boxes"`
	Vacuous []string  `json:"vacuous"`
}

type varView struct {
	portView
	Output bool `json:"output"`
}

type boxView struct {
	Free     int     `json:"free"` // inputs that vary
	MinWidth float64 `json:"min_width"`
	MaxWidth float64 `json:"max_width"`
	Inexact  bool    `json:"inexact"`
}

func inspectQuery(path string) (fmt.Stringer, error) {
	p, err := loadQuery(path, nil)
	if err != nil {
		return nil, err
	}
	v := &queryView{Path: path, SHA256: p.Hash, Version: p.Version, Inputs: p.NumInputs, Outputs: p.NumOutputs, Cases: len(p.Cases),
		Boxes: []boxView{}, Vacuous: append([]string{}, p.Vacuous...)}
	for _, x := range p.Vars {
		v.Vars = append(v.Vars, varView{portView{x.Name, x.Type, x.Shape}, x.Output})
	}
	for i := range p.Cases {
		v.Rows += len(p.Cases[i].Rows)
	}
	for i := range p.Boxes {
		v.Boxes = append(v.Boxes, viewBox(&p.Boxes[i]))
	}
	return v, nil
}

// viewBox measures a box; an input counts as free when the float32 grid inside its interval has more than one point.
func viewBox(b *spec.Box) boxView {
	v := boxView{Inexact: b.Inexact}
	for i := range b.Lower {
		if !(b.InLower[i] < b.InUpper[i]) {
			continue
		}
		w := b.Upper[i] - b.Lower[i]
		if v.Free == 0 || w < v.MinWidth {
			v.MinWidth = w
		}
		v.MaxWidth = max(v.MaxWidth, w)
		v.Free++
	}
	return v
}

// String writes the view for people; of many boxes the first ten.
func (v *queryView) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "query      %s   sha256 %s\n", v.Path, v.SHA256)
	fmt.Fprintf(&b, "format     VNN-LIB %s\n", v.Version)
	for _, x := range v.Vars {
		side := "input"
		if x.Output {
			side = "output"
		}
		fmt.Fprintf(&b, "%-10s %s %s%v\n", side, x.Name, x.Type, x.Shape)
	}
	fmt.Fprintf(&b, "asks       %d inputs, %d outputs, %d case(s) with %d row(s) over %d box(es)\n", v.Inputs, v.Outputs, v.Cases, v.Rows, len(v.Boxes))
	for i, x := range v.Boxes {
		if i == 10 {
			fmt.Fprintf(&b, "box        … and %d more\n", len(v.Boxes)-i)
			break
		}
		note := ""
		if x.Inexact {
			note = "   some interval holds no float32 number"
		}
		fmt.Fprintf(&b, "box %-6d %d free input(s), widths %.6g to %.6g%s\n", i, x.Free, x.MinWidth, x.MaxWidth, note)
	}
	for i, s := range v.Vacuous {
		if i == 10 {
			fmt.Fprintf(&b, "vacuous    … and %d more\n", len(v.Vacuous)-i)
			break
		}
		fmt.Fprintf(&b, "vacuous    %s\n", s)
	}
	return b.String()
}

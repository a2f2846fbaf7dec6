package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/train"
	"github.com/spai-project/certify/relax/loss"
	"github.com/spai-project/certify/sdp"
)

// recipe is a training as a TOML file says it.
type recipe struct {
	Seed   uint64   `toml:"seed"`
	Data   string   `toml:"data"`
	Test   string   `toml:"test"`
	Input  []int    `toml:"input"`
	Layers []string `toml:"layers"`
	Init   string   `toml:"init"`

	Loss struct {
		Method string     `toml:"method"`
		Eps    float64    `toml:"eps"`
		Norm   int        `toml:"norm"`
		Clip   [2]float64 `toml:"clip"`
		Ramp   [2]float64 `toml:"ramp"`
		Kappa  [2]float64 `toml:"kappa"`
		Alpha  float64    `toml:"alpha"`
		Part   float64    `toml:"part"`
		Steps  int        `toml:"steps"`
		Reach  float64    `toml:"reach"`
		Beta   [2]float64 `toml:"beta"`
		Split  int        `toml:"split"`
		Pairs  int        `toml:"pairs"`
	} `toml:"loss"`

	Train struct {
		Epochs      int     `toml:"epochs"`
		Batch       int     `toml:"batch"`
		Optimiser   string  `toml:"optimiser"`
		Momentum    float64 `toml:"momentum"`
		LR          float64 `toml:"lr"`
		Schedule    string  `toml:"schedule"`
		WeightDecay float64 `toml:"weight_decay"`
		L1          float64 `toml:"l1"`
		Gradient    float64 `toml:"longest_gradient"`
		Shard       int     `toml:"shard"`
		Shift       int     `toml:"shift"`
	} `toml:"train"`
}

// readRecipe reads a recipe. text is the file, for checkpoints to be compared with.
func readRecipe(path string) (r *recipe, text []byte, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if st.Size() > 1<<20 {
		return nil, nil, malformedf("a recipe is a short TOML file", "%s has %d bytes", path, st.Size())
	}
	if text, err = os.ReadFile(path); err != nil {
		return nil, nil, err
	}
	r = &recipe{}
	meta, err := toml.Decode(string(text), r)
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return nil, nil, &failure{code: exitMalformed, kind: "recipe", msg: path + ": " + syntax.Message, err: err,
			detail: []string{syntax.ErrorWithPosition()}, hint: "recipes are TOML; `certify train --help` shows one"}
	}
	if err != nil {
		return nil, nil, malformedf("`certify train --help` shows a recipe", "%s: %v", path, err)
	}
	if u := meta.Undecoded(); len(u) > 0 {
		return nil, nil, malformedf("`certify train --help` lists what a recipe may say", "%s: %q means nothing", path, u[0].String())
	}
	return r, text, nil
}

// layer reads a layer: "dense 100", "conv 16 4 stride 2 pad 1" or "relu".
func layer(text string) (train.Layer, error) {
	words := strings.Fields(text)
	bad := fmt.Errorf("layer %q: want dense OUT, conv OUT KERNEL [stride N] [pad N], norm, or relu", text)
	if len(words) == 0 {
		return nil, bad
	}
	var n []int
	options := map[string]int{}
	for i := 1; i < len(words); i++ {
		v, err := strconv.Atoi(words[i])
		if err == nil {
			n = append(n, v)
			continue
		}
		if i+1 == len(words) || words[0] != "conv" || words[i] != "stride" && words[i] != "pad" {
			return nil, bad
		}
		if options[words[i]], err = strconv.Atoi(words[i+1]); err != nil {
			return nil, bad
		}
		i++
	}
	switch {
	case words[0] == "relu" && len(n) == 0:
		return train.ReLU{}, nil
	case words[0] == "norm" && len(n) == 0:
		return train.BatchNorm{}, nil
	case words[0] == "dense" && len(n) == 1:
		return train.Dense{Out: n[0]}, nil
	case words[0] == "conv" && len(n) == 2:
		return train.Conv2D{Out: n[0], Kernel: n[1], Stride: options["stride"], Pad: options["pad"]}, nil
	}
	return nil, bad
}

// net makes the network.
func (r *recipe) net(input []int) (*train.Net[float32], error) {
	var layers []train.Layer
	for _, text := range r.Layers {
		l, err := layer(text)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	n, err := train.New[float32](r.Seed, input, layers...)
	if err != nil {
		return nil, err
	}
	switch r.Init {
	case "", "he":
	case "ibp":
		n.InitialiseIBP(r.Seed)
	case "small":
		n.InitialiseSmall(r.Seed)
	default:
		return nil, fmt.Errorf("init %q: want he, small or ibp", r.Init)
	}
	return n, nil
}

// sdpLoss is the loss that package sdp has.
var sdpLoss = loss.Method{Name: "sdp", About: "the semidefinite bound of networks with one layer of ReLUs (Raghunathan et al. 2018)"}

// objective makes the loss.
func objective[T kernel.Float](r *recipe) (train.Objective[T], error) {
	l := r.Loss
	settings := loss.Settings{Method: l.Method, Eps: l.Eps, Norm: l.Norm, Lower: l.Clip[0], Upper: l.Clip[1], Ramp: l.Ramp, Kappa: l.Kappa,
		Alpha: l.Alpha, Part: l.Part, Steps: l.Steps, Reach: l.Reach, Beta: l.Beta, Split: l.Split, Seed: r.Seed}
	if l.Method == sdpLoss.Name {
		settings.Method = "natural"
		if _, err := loss.New[T](settings); err != nil {
			return nil, err
		}
		return sdp.NewObjective[T](settings, sdp.RegulariserOptions{Pairs: l.Pairs}), nil
	}
	return loss.New[T](settings)
}

// training makes what nn/train calls a recipe.
func (r *recipe) training(workers int) (train.Recipe, error) {
	t := r.Train
	out := train.Recipe{Epochs: t.Epochs, Batch: t.Batch, LR: t.LR, WeightDecay: t.WeightDecay, L1: t.L1, Clip: t.Gradient, Shard: t.Shard, Shift: t.Shift,
		Seed: r.Seed, Workers: workers}
	switch t.Optimiser {
	case "", "adam":
		out.Optimiser = train.Adam{}
	case "sgd":
		out.Optimiser = train.SGD{Momentum: t.Momentum}
	default:
		return out, fmt.Errorf("optimiser %q: want adam or sgd", t.Optimiser)
	}
	var err error
	out.Schedule, err = schedule(t.Schedule)
	return out, err
}

// schedule reads "constant", "cosine", "onecycle" or "step FACTOR at PART …".
func schedule(text string) (train.Schedule, error) {
	words := strings.Fields(text)
	bad := fmt.Errorf("schedule %q: want constant, cosine, onecycle, or step 0.2 at 0.7 0.9 (parts of the training)", text)
	switch {
	case len(words) == 0, slices.Equal(words, []string{"constant"}):
		return nil, nil
	case slices.Equal(words, []string{"cosine"}):
		return train.Cosine(), nil
	case slices.Equal(words, []string{"onecycle"}):
		return train.OneCycle(), nil
	case len(words) < 4 || words[0] != "step" || words[2] != "at":
		return nil, bad
	}
	var v []float64
	for _, w := range append(words[1:2:2], words[3:]...) {
		x, err := strconv.ParseFloat(w, 64)
		if err != nil || !(x > 0 && x < 1) {
			return nil, bad
		}
		v = append(v, x)
	}
	return train.StepDecay(v[0], v[1:]...), nil
}

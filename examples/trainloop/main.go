// Command trainloop is a training loop of its own that asks the library for certified losses, and for a proof in the end.
//
// It trains a small classifier of points in the plane, two rings, so that no point within 0.05 of a training point changes its class,
// steps the parameters itself, and counts for how many fresh points that is proved.
//
//	go run ./examples/trainloop
package main

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
	"github.com/spai-project/certify/relax/loss"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/robust"
)

const (
	eps   = 0.05
	steps = 1500
	rows  = 128
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	net, err := train.New[float32](1, []int{2}, train.Dense{Out: 64}, train.ReLU{}, train.Dense{Out: 64}, train.ReLU{}, train.Dense{Out: 2})
	if err != nil {
		return err
	}

	// The loss is recorded once, on a tape, and then run on every batch.
	objective, err := loss.New[float32](loss.Settings{Method: "mtl-ibp", Eps: eps, Ramp: [2]float64{0, 500}, Alpha: 0.3, Steps: 3})
	if err != nil {
		return err
	}
	program := tape.New[float32](net.Inputs(), len(net.Weights))
	recorded, err := objective.Record(program, net)
	if err != nil {
		return err
	}
	runner := tape.NewRunner(program, tape.Options{Outputs: []tape.Value{recorded.Logits, *recorded.Worst}})

	random := rand.New(rand.NewPCG(1, 2))
	momentum := make([]float32, len(net.Weights))
	for step := range steps {
		x, labels := rings(random, rows)
		radius := recorded.Begin(train.Moment{Epochs: float64(step), All: steps, Step: step}, runner.Set)
		mean, grads, err := runner.Descend(ctx, net.Weights, tape.Batch[float32]{X: x, Labels: labels, Run: uint64(step)}, recorded.Loss)
		if err != nil {
			return err
		}
		for i, g := range grads { // any optimiser will do: this is plain momentum
			momentum[i] = 0.9*momentum[i] + g
			net.Weights[i] -= 0.02 * momentum[i]
		}
		if (step+1)%300 == 0 {
			fmt.Printf("step %4d   radius %.4f   loss %.4f   right %3d of %d   certified by the loss %3d\n", step+1, radius, mean,
				train.Correct(runner.Output(0), 2, labels), rows, train.Certified(runner.Output(1), 2, labels))
		}
	}
	return prove(ctx, net, random)
}

// prove counts for how many fresh points the class is proved to stay.
func prove(ctx context.Context, net *train.Net[float32], random *rand.Rand) error {
	graph, err := net.Graph()
	if err != nil {
		return err
	}
	model, err := robust.NewModel(graph, verify.Real)
	if err != nil {
		return err
	}
	const points = 50
	proved, broken := 0, 0
	x, labels := rings(random, points)
	for i, label := range labels {
		ball, err := model.Decide(ctx, []float64{float64(x[2*i]), float64(x[2*i+1])}, label, eps, robust.Options{})
		if err != nil {
			return err
		}
		switch ball.Verdict {
		case robust.Holds:
			proved++
		case robust.Violated:
			broken++
		}
	}
	fmt.Printf("of %d fresh points, %d are proved to keep their class within %v, %d have a counterexample\n", points, proved, eps, broken)
	return nil
}

// rings draws points of two rings, of radius 0.5 and 1.
func rings(r *rand.Rand, n int) (x []float32, labels []int) {
	for range n {
		label := r.IntN(2)
		radius, angle := 0.5+0.5*float64(label)+0.05*r.NormFloat64(), 2*math.Pi*r.Float64()
		x = append(x, float32(radius*math.Cos(angle)), float32(radius*math.Sin(angle)))
		labels = append(labels, label)
	}
	return x, labels
}

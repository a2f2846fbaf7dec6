package poison

import (
	"math"
	"slices"
	"testing"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/data"
)

// leaveOut is LeaveOut to the last digits.
func leaveOut(t *testing.T, m *Learner, e, test *Examples, theta []float64, i int) float64 {
	t.Helper()
	change, err := m.LeaveOut(ctx, theta, e, test, i, 1e-10, 0)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func meanLoss(t *testing.T, m *Learner, theta []float64, e *Examples) float64 {
	t.Helper()
	_, loss, err := m.Errors(ctx, theta, e, 0)
	if err != nil {
		t.Fatal(err)
	}
	return loss
}

func fitted(t *testing.T, m *Learner, e *Examples, tolerance float64) []float64 {
	t.Helper()
	theta, err := m.Fit(ctx, e, Training{Tolerance: tolerance})
	if err != nil {
		t.Fatal(err)
	}
	return theta
}

// TestInfluenceLeaveOneOut retrains without each example: influence functions foretell the change of the test loss.
func TestInfluenceLeaveOneOut(t *testing.T) {
	m := &Learner{Inputs: 6, Classes: 3, L2: 0.01}
	e, test := examples(blobs(1, 200, 6, 3, 0.25)), examples(blobs(2, 5, 6, 3, 0.25))
	theta := fitted(t, m, e, 1e-10)
	up, err := m.Influence(ctx, theta, e, test, InfluenceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var foretold, actual []float64
	for i := range e.Labels {
		foretold = append(foretold, -up[i]/float64(len(up)))
		actual = append(actual, leaveOut(t, m, e, test, theta, i))
	}
	if r := correlation(foretold, actual); !(r > 0.99) {
		t.Errorf("correlation %v", r)
	}
	most := 0
	for i := range up {
		if math.Abs(up[i]) > math.Abs(up[most]) {
			most = i
		}
	}
	if ratio := actual[most] / foretold[most]; !(ratio > 0.7 && ratio < 1.4) {
		t.Errorf("the largest: foretold %v, actual %v", foretold[most], actual[most])
	}
}

// TestInfluenceFirstOrder: both influences are the derivatives of the test loss after training, which differences confirm.
func TestInfluenceFirstOrder(t *testing.T) {
	m := &Learner{Inputs: 4, Classes: 3, L2: 0.02}
	e, test := examples(blobs(1, 40, 4, 3, 0.3)), examples(blobs(2, 6, 4, 3, 0.3))
	theta := fitted(t, m, e, 1e-12)
	up, err := m.Influence(ctx, theta, e, test, InfluenceOptions{Tolerance: 1e-12})
	if err != nil {
		t.Fatal(err)
	}
	const from, h = 37, 1e-4
	n := float64(len(up))
	at := func(change func(*Examples)) float64 {
		q := &Examples{X: slices.Clone(e.X), Labels: e.Labels, Weights: slices.Repeat([]float64{1 / n}, len(up))}
		change(q)
		return meanLoss(t, m, fitted(t, m, q, 1e-12), test)
	}
	for _, i := range []int{0, 7, 39} {
		slope := (at(func(q *Examples) { q.Weights[i] += h }) - at(func(q *Examples) { q.Weights[i] -= h })) / (2 * h)
		within(t, "I_up,loss", up[i], slope, 1e-5)
	}
	pert, err := m.InfluencePerturbation(ctx, theta, e, test, from, InfluenceOptions{Tolerance: 1e-12})
	if err != nil || len(pert) != (len(up)-from)*m.Inputs {
		t.Fatal(len(pert), err)
	}
	for k, v := range pert {
		up, down := at(func(q *Examples) { q.X[from*m.Inputs+k] += h }), at(func(q *Examples) { q.X[from*m.Inputs+k] -= h })
		slope := (up - down) / (2 * h)
		within(t, "I_pert,loss", v/n, slope, 1e-6)
	}
	damped, err := m.Influence(ctx, theta, e, test, InfluenceOptions{Damping: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := m.lossGradient(ctx, theta, test, 1)
	if err != nil {
		t.Fatal(err)
	}
	one, _, err := m.lossGradient(ctx, theta, &Examples{X: e.X[:4], Labels: e.Labels[:1]}, 1)
	if err != nil {
		t.Fatal(err)
	}
	within(t, "with heavy damping H is the identity", damped[0]*1e6, -kernel.Dot(g, one), 1e-4)
}

func TestInfluenceRefuses(t *testing.T) {
	m := &Learner{Inputs: 4, Classes: 3, L2: 0.02}
	e := examples(blobs(1, 40, 4, 3, 0.3))
	if _, err := m.Influence(ctx, m.Start(1), e, e, InfluenceOptions{}); err == nil {
		t.Error("parameters that are no minimum: accepted")
	}
	if _, err := m.Influence(ctx, fitted(t, m, e, 1e-8), e, e, InfluenceOptions{Damping: -1}); err != ErrCurvature {
		t.Errorf("an indefinite matrix: %v", err)
	}
}

// TestInfluenceMNIST is the setting of Koh and Liang's figure 2: logistic regression on ten digits, λ = 0.01, one test digit that
// is misclassified, the 500 training digits of the largest influence left out one at a time.
func TestInfluenceMNIST(t *testing.T) {
	train, test := mnist(t, "train"), mnist(t, "test")
	n, count := envInt("POISON_ITEMS", 2000), envInt("POISON_COUNT", 50)
	m := &Learner{Inputs: train.Dim(), Classes: 10, L2: 0.01}
	e := examples(train.Slice(0, n))
	theta := fitted(t, m, e, 1e-9)
	wrong, target := 0, -1
	for i, y := range test.Labels[:1000] {
		z, err := m.Logits(ctx, theta, test.Item(i), 0)
		if err != nil {
			t.Fatal(err)
		}
		if argmax(z) != y {
			wrong++
			if target < 0 {
				target = i
			}
		}
	}
	one := examples(test.Slice(target, target+1))
	up, err := m.Influence(ctx, theta, e, one, InfluenceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var foretold, actual []float64
	for _, i := range byScore(n, func(i int) float64 { return -math.Abs(up[i]) })[:count] {
		foretold = append(foretold, -up[i]/float64(n))
		actual = append(actual, leaveOut(t, m, e, one, theta, i))
	}
	r := correlation(foretold, actual)
	t.Logf("%d items, %d of 1000 test digits wrong, test digit %d, %d left out: correlation %.4f", n, wrong, target, count, r)
	if !(r >= 0.98) {
		t.Errorf("correlation %v", r)
	}
}

// TestInfluenceAttack: the inserted points are within the budget and the box, and hurt more than random flips of as many labels.
func TestInfluenceAttack(t *testing.T) {
	train, validation, test := blobs(1, 120, 6, 2, 0.15), blobs(2, 100, 6, 2, 0.15), blobs(3, 400, 6, 2, 0.15)
	m := &Learner{Inputs: 6, Classes: 2, L2: 0.01}
	flips := harm(t, m, "labelflip:rate=0.05", train, validation, test)
	got := harm(t, m, "influence:rate=0.05,rounds=20,step=0.3", train, validation, test)
	if !(got > 1.5*flips) {
		t.Errorf("test loss rises by %v, with flipped labels by %v", got, flips)
	}
}

// harm returns by how much an attack raises the loss on test data.
func harm(t *testing.T, m *Learner, attack string, train, validation, test *data.Set) float64 {
	t.Helper()
	p, err := Run(ctx, attack, train, Options{Validation: validation, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := slices.Min(train.X), slices.Max(train.X)
	if err := p.Set.CheckRange(lo, hi); err != nil {
		t.Error(err)
	}
	if want := int(float64(train.Len()) * 0.05); len(p.Indices()) != want {
		t.Errorf("%s: %d items changed, want %d", attack, len(p.Indices()), want)
	}
	for i, y := range p.Original {
		same := i < train.Len() && slices.Equal(p.Set.Item(i), train.Item(i)) && p.Set.Labels[i] == train.Labels[i]
		if p.Changed[i] == same || i < train.Len() && y != train.Labels[i] || i >= train.Len() && y != Inserted {
			t.Errorf("%s: the record of item %d is wrong", attack, i)
		}
	}
	return meanLoss(t, m, fitted(t, m, examples(p.Set), 1e-6), examples(test)) -
		meanLoss(t, m, fitted(t, m, examples(train), 1e-6), examples(test))
}

// TestCopies: points that take turns.
func TestCopies(t *testing.T) {
	for _, c := range [][2]int{{1, 7}, {2, 7}, {3, 7}, {7, 7}} {
		count := make([]int, c[0])
		for k := range c[1] {
			count[k%c[0]]++
		}
		for k, n := range count {
			if got := copies(k, c[0], c[1]); got != n {
				t.Errorf("point %d of %d is inserted %d times of %d, want %d", k, c[0], got, c[1], n)
			}
		}
	}
}

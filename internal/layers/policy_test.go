package layers

// The import policy of the module, in the manner of go/build/deps_test.go.
//
// A chain "a, b < c, d < e" lets c and d import a and b, and e import c and d and everything those may import. Packages
// of one list do not import each other, except below one "x/..." pattern, which stands for x and everything under it. A
// package is ruled by the longest pattern that matches it; a package that matches none fails the test. Packages need not
// exist yet. The standard library is allowed everywhere but for the entries of restricted.
//
// Test files may import every package of the module but cmd/..., and the modules of testModules.
const policy = `
	# Leaves: the standard library only.
	NONE < internal/..., smt/simplex, verify/kernel;

	# The way of the data.
	internal/..., smt/simplex
	< nn/prog
	< nn/op
	< nn, nn/tape
	< nn/onnx, nn/spec, nn/data, nn/train
	< verify/cert, verify/trace
	< relax
	< relax/kolter
	< relax/loss
	< smt, smt/reluplex, smt/glpk, sdp/..., attacks/access, attacks/...
	< verify/bab
	< verify
	< privacy/..., benchmarks/..., verify/report
	< cmd/..., examples/...;

	# Attacks see models through their access levels only; defences are models.
	attacks/access < attacks/...;
	attacks/access < attacks/evasion < attacks/defense, attacks < benchmarks/..., cmd/...;

	# Networks for another library's programs; nothing of ours needs them.
	nn/op, nn/tape, nn/train < nn/gorgonia;

	# Suites are run and reported with the report's forms.
	verify/report < benchmarks/...;

	# gonum on our kernels, for those who may use gonum.
	internal/... < internal/kernel/blas < sdp/..., privacy/..., cmd/...;

	# The trusted checker is asked where proofs are written, called where verdicts are made, and alone in its own program.
	verify/kernel < verify/cert;
	verify/kernel < verify;
	verify/kernel < cmd/certify-check;

	# Proofs are searched for with what the search is made of, after it.
	verify/bab, verify/kernel < verify/prove < cmd/...;

	# A bound that is a package of its own.
	relax < relax/kolter, sdp/... < verify/robust;

	# Robustness asks attacks and the verifier; its pages are written from its records.
	attacks/evasion, verify < verify/robust < verify/robust/page < cmd/..., examples/...;

	# The oracle knows networks and exact arithmetic; verifiers come to it as callbacks.
	internal/..., nn/onnx, nn/spec, nn/data < verify/verifytest < cmd/...;
`

// modules says which packages may import which other modules; there is no inheritance.
const modules = `
	golang.org/x/sys: internal/kernel, benchmarks/..., cmd/certify/...
	golang.org/x/sync: attacks/..., verify/bab, verify, privacy/..., benchmarks/..., cmd/certify/...
	github.com/go-air/gini: smt
	github.com/lukpank/go-glpk: smt/glpk
	gonum.org/v1/gonum: sdp/..., privacy/..., internal/kernel/blas
	gonum.org/v1/plot: benchmarks/...
	gorgonia.org/tensor: nn/gorgonia
	google.golang.org/protobuf: nn/onnx, nn/spec
	github.com/tuneinsight/lattigo/v6: privacy/he
	github.com/jedib0t/go-pretty/v6: cmd/certify/..., verify/report, benchmarks/...
	github.com/BurntSushi/toml: benchmarks/..., cmd/certify/...
	github.com/spf13/cobra: cmd/certify/...
	github.com/spf13/pflag: cmd/certify/...
`

// restricted says which packages may import these packages of the standard library.
const restricted = `
	unsafe: internal/kernel, internal/kernel/openblas
	C: smt/glpk, internal/kernel/openblas
	plugin:
`

// testModules may be imported by test files everywhere, besides the modules their package may import.
var testModules = []string{
	"pgregory.net/rapid", "github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "gonum.org/v1/gonum",
	"google.golang.org/protobuf", // to take files apart
}

package verifytest_test
import ("context";"testing";"time";"fmt"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest")
func TestTmpLong(t *testing.T){
	ctx,c:=context.WithTimeout(context.Background(),100*time.Second); defer c()
	rep,err:=verifytest.Fuzz(ctx, 77, 100000, func (ctx context.Context, p *prog.Program, prob *spec.Problem, s uint64) (string, []float64, error) {
	r := seed.Stream(s, "options")
	methods := []string{"", "", "ibp", "crown", "alpha", "input-split", "relu-split"}
	opt := verify.Options{ Seed: r.Uint64(), Workers: 1 + r.IntN(2), NoAttack: r.IntN(3) > 0, Method: methods[r.IntN(len(methods))], Timeout:  30*time.Millisecond }
	res, err := verify.Program(ctx, p, prob, opt)
	if err != nil { return "", nil, err }
	if res.Witness == nil { return res.Verdict.String(), nil, nil }
	return res.Verdict.String(), res.Witness.X, nil
	})
	fmt.Println(rep, err)
}
func TestTmpDefault(t *testing.T){
	for i:=range uint64(300) {
		in:=verifytest.RandomInstance(i)
		p,_:=in.Net.Program()
		st:=time.Now()
		res,err:=verify.Program(context.Background(),p,in.Problem,verify.Options{Timeout:time.Second,Seed:i})
		if err!=nil { t.Fatal(err) }
		if res.Witness==nil && res.Verdict!=verify.Holds {
			tr:=verifytest.SolveExact(p,in.Problem)
			m,_:=tr.Margin.Float64()
			if m>1e-6||m< -1e-6 { fmt.Println(i,res.Verdict,res.Reason,m,time.Since(st),res.Strategy,verifytest.Unstable(p,in.Problem.Boxes[0].Lower,in.Problem.Boxes[0].Upper)) }
		}
	}
}

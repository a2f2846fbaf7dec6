package attacks
import ("testing";"fmt";"context";"os";"github.com/spai-project/certify/nn/prog";"github.com/spai-project/certify/nn/spec";"time")
func TestZZ(t *testing.T){
 dir:="/work/shared/vnncomp/traffic_signs_recognition_2023"
 p,pr:=loadInstance(t,map[string]*prog.Program{},dir,os.Getenv("ZN"),os.Getenv("ZQ"))
 inner,q:=spec.Peel(p,pr)
 s,_:=NewSearcher(inner,q)
 s.ConfirmOn(p,pr)
 b:=time.Now()
 w:=s.Search(context.Background(),Options{Time:10*time.Second,Work:1e11})
 fmt.Println(w!=nil,w!=nil&&w.AnyOrder,time.Since(b))
 fmt.Println(w.X[:20])
 for _,unit:=range []float64{prog.Unit32,prog.UnitReal} {
 L,U:=inner.Enclose(w.X,w.X,unit)
 for k:=range inner.Nodes { n:=&inner.Nodes[k]; nz,st:=0,0; mx:=0.0; for i:=range L[k] { if L[k][i]!=U[k][i] {nz++}; mx=max(mx,U[k][i]-L[k][i]); if L[k][i]<0&&U[k][i]>0 {st++}}; fmt.Println(k,n.Kind,n.Fn,n.N,n.Name,"rel",n.Rel,n.Rounding.Steps,n.Rounding.BiasMag!=nil,"wide",nz,mx,"straddle",st) }
 }
}

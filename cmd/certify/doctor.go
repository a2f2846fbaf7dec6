package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/cpu"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/op"
)

func (a *app) doctorCmd() *cobra.Command {
	c := &cobra.Command{Use: "doctor", Short: "Show the machine, the build and the rounding self-test: what a bug report needs", Args: cobra.NoArgs}
	c.RunE = runE(func(*cobra.Command, []string) error {
		t := tool()
		fmt.Fprintf(a.out, "certify    %s  commit %s\n", t.Version, orNone(t.Commit))
		fmt.Fprintf(a.out, "built with %s for %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
		fmt.Fprintf(a.out, "cores      %d usable\n", runtime.GOMAXPROCS(0))
		if m := memTotal(); m != "" {
			fmt.Fprintf(a.out, "memory     %s\n", m)
		}
		fmt.Fprintf(a.out, "cpu        %s\n", orNone(strings.Join(features(), " ")))
		fmt.Fprintf(a.out, "kernels    %s in use, %s available\n", kernel.Active(), strings.Join(kernel.Implementations(), " "))
		fmt.Fprintf(a.out, "operators  %d known, %d bounded\n", len(op.All()), len(boundedOperators()))
		bad := false
		for _, c := range selfTest() {
			state := "ok"
			if c.err != nil {
				state, bad = "FAILED: "+c.err.Error(), true
			}
			fmt.Fprintf(a.out, "self-test  %-34s %s\n", c.name, state)
		}
		if bad {
			return &failure{code: exitInternal, kind: "internal", msg: "this machine or build does not compute as certify's proofs assume",
				hint: "do not trust verdicts from it; please report the output above"}
		}
		return nil
	})
	return c
}

func features() (f []string) {
	for _, x := range []struct {
		name string
		has  bool
	}{{"avx2", cpu.X86.HasAVX2}, {"fma", cpu.X86.HasFMA}, {"avx512f", cpu.X86.HasAVX512F}, {"avx512dq", cpu.X86.HasAVX512DQ},
		{"avx512vl", cpu.X86.HasAVX512VL}, {"asimd", cpu.ARM64.HasASIMD}, {"sve", cpu.ARM64.HasSVE}} {
		if x.has {
			f = append(f, x.name)
		}
	}
	return f
}

// memTotal returns the memory of the machine where the system tells.
func memTotal() string {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.Join(strings.Fields(strings.TrimPrefix(line, "MemTotal:")), " ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

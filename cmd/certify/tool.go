package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spai-project/certify/verify/report"
)

// tool describes this build.
func tool() report.Tool {
	t := report.Tool{Version: version, CPU: runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				t.Commit = s.Value
			}
		}
	}
	return t
}

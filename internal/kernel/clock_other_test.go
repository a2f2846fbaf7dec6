//go:build !linux

package kernel

import "time"

var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/sdp/poison"
)

func (a *app) poisonCheckCmd() *cobra.Command {
	f := &poisonCertifyFlags{}
	c := &cobra.Command{
		Use:   "check FILE --data SPEC",
		Short: "Check a certificate against poisoned training data",
		Long: "Check what `certify poison certify -o FILE` wrote. A bound (steinhardt) is evaluated again on the data by\n" +
			"other code that rounds upward, with the defence computed anew; records of items are made again and compared.\n" +
			"The data must be those of the certificate, to the last bit. Exit status 0 if it holds, 1 if it is refused.",
		Args: cobra.ExactArgs(1),
	}
	f.register(c, false)
	fs := c.Flags()
	fs.StringVar(&f.test, "test", "", "test items, as --data (default: as the file says)")
	fs.StringVar(&f.testLabels, "test-labels", "", "a `file` of labels of the test items (default: those they bring along)")
	fs.BoolVar(&f.json, "json", false, "print one certify.poison-check/1 object instead of sentences")
	fs.IntVarP(&f.workers, "workers", "j", 0, "threads (default: one for each processor)")
	c.RunE = runE(func(c *cobra.Command, args []string) error { return a.poisonCheck(c.Context(), f, args[0]) })
	return c
}

func (a *app) poisonCheck(ctx context.Context, f *poisonCertifyFlags, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, poison.MaxBytes+1))
	if err != nil {
		return err
	}
	ctx, stop := signals(ctx)
	defer stop()
	var says []string
	if bytes.Contains(text[:min(len(text), 200)], []byte(poison.RecordsFormat)) {
		says, err = f.checkRecords(ctx, text)
	} else {
		says, err = f.checkBound(text)
	}
	refused, isRefused := errors.AsType[*poison.RefusedError](err)
	if err != nil && !isRefused {
		var sig *interrupt
		if errors.As(context.Cause(ctx), &sig) {
			a.notef("interrupted: nothing was decided")
			return &status{sig.code()}
		}
		if _, ok := errors.AsType[*failure](err); ok {
			return err
		}
		return poisonError(err)
	}
	if f.json {
		object := map[string]any{"schema": "certify.poison-check/1", "holds": !isRefused, "says": says}
		if isRefused {
			object["reason"] = refused.Reason
		}
		if err := json.NewEncoder(a.out).Encode(object); err != nil {
			return err
		}
	} else if isRefused {
		fmt.Fprintf(a.out, "refused: %s\n", refused.Reason)
	} else {
		for _, s := range says {
			fmt.Fprintln(a.out, s)
		}
	}
	if isRefused {
		return &status{exitListed}
	}
	return nil
}

// checkBound checks a certificate of steinhardt and says what it means.
func (f *poisonCertifyFlags) checkBound(text []byte) ([]string, error) {
	c, err := poison.Read(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	set, err := f.openLabelled("--data", cmp.Or(f.data, c.Data.Spec), f.labels, nil)
	if err != nil {
		return nil, err
	}
	b, err := poison.NewBinary(set, c.Data.Classes)
	if err != nil {
		return nil, &poison.RefusedError{Reason: err.Error()}
	}
	h, err := c.Check(b)
	if err != nil {
		return nil, err
	}
	says := []string{
		fmt.Sprintf("holds: with at most %v of %d items added, the hinge loss on the clean training data is at most %v",
			c.Epsilon, b.Len(), c.Bound),
		fmt.Sprintf("evaluated: %v = %v clean + %v · %v worst, ‖θ‖² ≤ %v", h.Bound, h.Clean, c.Epsilon, h.Worst, c.NormSquared),
	}
	for _, s := range c.Assumptions() {
		says = append(says, "assumed: "+s)
	}
	return says, nil
}

// checkRecords makes records again and compares.
func (f *poisonCertifyFlags) checkRecords(ctx context.Context, text []byte) ([]string, error) {
	r, err := poison.ReadRecords(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	train, err := f.openLabelled("--data", cmp.Or(f.data, r.Train.Spec), f.labels, nil)
	if err != nil {
		return nil, err
	}
	test, err := f.openLabelled("--test", cmp.Or(f.test, r.Test.Spec), f.testLabels, train.Shape)
	if err != nil {
		return nil, err
	}
	if p := r.Parameters; p.Method == poison.MethodFlips {
		train, test = only(train, p.Pair), only(test, p.Pair)
	}
	if err := r.Check(ctx, train, test, f.workers, nil); err != nil {
		return nil, err
	}
	says := []string{fmt.Sprintf("holds: %d items have the recorded answers and withstand the recorded poison (%s)", len(r.Items),
		r.Parameters.Method)}
	for _, s := range r.Parameters.Assumptions() {
		says = append(says, "assumed: "+s)
	}
	return says, nil
}

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
)

// checkpoint keeps the state of a training in a file.
type checkpoint struct {
	path   string
	recipe []byte
	epochs int
	data   *data.Set
	sum    string
}

const checkpointMagic = "certify-train/1"

// header is what a checkpoint must agree with to be gone on from.
type header struct {
	Magic, Sum         string
	Epoch, Step        int
	Weights, Optimiser int
}

// id is a hash of what a training is a function of.
func (c *checkpoint) id() string {
	if c.sum == "" {
		h := sha256.New()
		h.Write(c.recipe)
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(c.epochs))
		h.Write(b[:])
		for _, v := range c.data.X {
			binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
			h.Write(b[:])
		}
		for _, y := range c.data.Labels {
			binary.LittleEndian.PutUint64(b[:], uint64(y))
			h.Write(b[:])
		}
		c.sum = hex.EncodeToString(h.Sum(nil))
	}
	return c.sum
}

func (c *checkpoint) write(s train.State[float32]) error {
	return writeAtomic(c.path, func(w *os.File) error {
		h := header{checkpointMagic, c.id(), s.Epoch, s.Step, len(s.Weights), len(s.Optimiser)}
		if err := gob.NewEncoder(w).Encode(h); err != nil {
			return err
		}
		if err := binary.Write(w, binary.LittleEndian, s.Weights); err != nil {
			return err
		}
		return binary.Write(w, binary.LittleEndian, s.Optimiser)
	})
}

// read returns the state of the file, nil if there is none.
func (c *checkpoint) read() (*train.State[float32], error) {
	r, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, writable(c.path, "checkpoint", "--checkpoint")
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	st, err := r.Stat()
	if err != nil {
		return nil, err
	}
	other := malformedf("give another --checkpoint, or remove the file to begin anew", "%s is no state of this recipe and data", c.path)
	var h header
	head := &io.LimitedReader{R: r, N: 4096}
	if err := gob.NewDecoder(oneByte{head}).Decode(&h); err != nil || h.Magic != checkpointMagic || h.Sum != c.id() {
		return nil, other
	}
	left := st.Size() - (4096 - head.N)
	if numbers := left / 4; left%4 != 0 || h.Weights < 0 || int64(h.Weights) > numbers || int64(h.Optimiser) != numbers-int64(h.Weights) {
		return nil, other
	}
	s := &train.State[float32]{Epoch: h.Epoch, Step: h.Step, Weights: make([]float32, h.Weights), Optimiser: make([]float32, h.Optimiser)}
	if err := errors.Join(binary.Read(r, binary.LittleEndian, s.Weights), binary.Read(r, binary.LittleEndian, s.Optimiser)); err != nil {
		return nil, err
	}
	return s, nil
}

// oneByte is an io.ByteReader, so that gob reads no further than its message.
type oneByte struct{ io.Reader }

func (b oneByte) ReadByte() (byte, error) {
	var p [1]byte
	_, err := io.ReadFull(b.Reader, p[:])
	return p[0], err
}

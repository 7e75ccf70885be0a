package main

import (
	"encoding/gob"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
)

// answer is one of ours that the bare server repeats.
type answer struct {
	Status   int
	Encoding string
	Body     []byte
}

// serveBare answers requests with the answers of a file, one after the other, as little as net/http can do.
func serveBare(file string) {
	f, err := os.Open(file)
	if err != nil {
		panic(err)
	}
	var answers []answer
	if err := gob.NewDecoder(f).Decode(&answers); err != nil {
		panic(err)
	}
	var n atomic.Uint64
	l := listen()
	fmt.Println("listening on http://" + l.Addr().String())
	panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a := &answers[n.Add(1)%uint64(len(answers))]
		h := w.Header()
		if a.Status != http.StatusOK {
			w.WriteHeader(a.Status)
			return
		}
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(a.Body)))
		if a.Encoding != "" {
			h.Set("Content-Encoding", a.Encoding)
		}
		_, _ = w.Write(a.Body)
	})))
}

// bare starts a bare server that answers as a side does.
func (b *bench) bare(like *side, q query) (*side, error) {
	const most = 512 // pages of 30 KB, more than a processor's caches hold
	n := most
	if !q.varies {
		n = 1
	}
	answers, err := like.record(q, n)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "answers")
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := gob.NewEncoder(f).Encode(answers); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(pinned(exec.CommandContext(b.ctx, self, "bare", file)))
	if err != nil {
		return nil, err
	}
	return &side{name: "bare", servers: []*process{p}, auth: like.auth}, nil
}

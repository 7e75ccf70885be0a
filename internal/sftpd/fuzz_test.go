package sftpd

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pkg/sftp"
)

func FuzzPaths(f *testing.F) {
	for _, s := range []string{"/x.csv", "/../x", "/a/b/../c", "/.in.x", "/x~", "/\x00", `/a\b`, "/" + strings.Repeat("é", 128), "//", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if cleaned := path.Join("/", raw); !climbs(raw) && cleaned != path.Clean("/root/" + raw)[len("/root"):] && path.Clean("/root/"+raw) != "/root" {
			t.Errorf("%q leads out of the folder and was not noticed", raw)
		}
		_ = temporary(raw)
		if shown(raw) == "" || strings.ContainsAny(logged(raw), "\n\r\x00\x1b") {
			t.Errorf("%q is shown as %q", raw, logged(raw))
		}
		if checkPath(raw) != nil {
			return
		}
		if path.Clean(raw) != raw || raw[0] != '/' || !utf8.ValidString(raw) || len(raw) > maxPath || strings.ContainsAny(raw, "\x00\n\\") ||
			strings.Contains(raw+"/", "/../") || len(ancestors(raw)) > maxDepth {
			t.Errorf("%q was taken", raw)
		}
		for _, a := range ancestors(raw) {
			if !below(raw, a) {
				t.Errorf("%q does not lie below %q", raw, a)
			}
		}
	})
}

// FuzzExtent compares the pieces of a file with a map of its bytes.
func FuzzExtent(f *testing.F) {
	f.Add(byte(0), []byte{0, 3, 5, 2, 3, 2})
	f.Add(byte(9), []byte{4, 1, 9, 9})
	f.Fuzz(func(t *testing.T, base byte, writes []byte) {
		e := extent{base: int64(base)}
		written, lowest := map[int]bool{}, int(base)
		size := int(base)
		for i := 0; i+1 < len(writes); i += 2 {
			from, n := int(writes[i]), int(writes[i+1])
			e.add(int64(from), int64(from+n))
			if n == 0 {
				continue
			}
			if len(written) == 0 {
				size = 0
			}
			lowest, size = min(lowest, from), max(size, from+n)
			for b := from; b < from+n; b++ {
				written[b] = true
			}
		}
		whole := 0
		for whole < size && (written[whole] || whole < lowest) {
			whole++
		}
		if len(written) > 0 && whole < size && e.spans[0].from > int64(base) {
			whole = int(base)
		}
		if e.size() != int64(size) || e.whole() != int64(whole) {
			t.Errorf("size %d whole %d, want %d %d: %+v", e.size(), e.whole(), size, whole, e)
		}
	})
}

// pipe is a channel whose client has sent all its bytes.
type pipe struct {
	io.Reader
	out bytes.Buffer
}

func (p *pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p *pipe) Close() error                { return nil }

// FuzzPackets checks that the filter passes on whole packets, answers each once, and never passes on one it
// has answered.
func FuzzPackets(f *testing.F) {
	greeting := sealed(newPacket(fxpInit, 3))
	f.Add(greeting)
	f.Add(append(bytes.Clone(greeting), openPacket(1, "../x", 0x1a)...))
	f.Add(append(bytes.Clone(greeting), fsyncPacket(1, "1")...))
	f.Add(append(bytes.Clone(greeting), sealed(appendText(appendText(newPacket(fxpRename, 1), "a"), "/.."))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		channel := &pipe{Reader: bytes.NewReader(data)}
		p := newPackets(channel, func() {})
		status := sealed(appendText(appendText(newPacket(fxpStatus, 0), ""), ""))
		seen, passed := 0, 0
		p.seen = func() { seen++ }
		for {
			var head [4]byte
			if _, err := io.ReadFull(p, head[:]); err != nil {
				break
			}
			f := fields{rest: head[:]}
			n := f.number()
			if n == 0 || n > maxPacket {
				t.Fatalf("a packet of %d bytes was passed on", n)
			}
			body := make([]byte, n)
			if _, err := io.ReadFull(p, body); err != nil {
				t.Fatalf("half a packet was passed on: %v", err)
			}
			if body[0] == fxpInit {
				t.Fatal("the greeting was passed on")
			}
			passed++
			_, _ = p.Write(status[:3]) // in pieces, as the server does
			_, _ = p.Write(status[3:])
		}
		var all frames
		answers := all.count(channel.out.Bytes())
		if all.left != 0 || len(all.head) != 0 || answers < passed || answers > seen {
			t.Errorf("%d packets, %d passed on, %d answers", seen, passed, answers)
		}
	})
}

// FuzzSession sends bytes to a whole session. Package sftp works in goroutines of its own, so a panic there
// would end the process; and whatever is sent, nothing may be left open.
func FuzzSession(f *testing.F) {
	for kind := byte(3); kind <= 20; kind++ {
		f.Add(sealed(appendText(newPacket(kind, 1), "/x")))
		f.Add(sealed(append(appendText(appendText(newPacket(kind, 1), "1"), "/x.tmp"), 0, 0, 0, 15, 0, 0)))
	}
	f.Add(append(openPacket(1, "x.tmp", 0x1a), writePacket(2, "1", 0, "x")...))
	f.Add(append(openPacket(1, "x.tmp", 0x1a), fsyncPacket(2, "1")...))
	f.Add(sealed(appendText(appendText(newPacket(fxpExtended, 1), renameExtension), "x")))
	config := Config{
		Arrived: func(context.Context, Login) ([]Arrived, error) { return []Arrived{{Path: "/x.csv"}}, nil },
		Receive: func(context.Context, Login, Upload) error { return nil },
		Valid:   func(context.Context, Login) (bool, error) { return true, nil },
		Now:     time.Now, Limits: Limits{Partials: 2, Directories: 2}.withDefaults(),
	}
	log := slog.New(slog.DiscardHandler)
	d, err := openDrop(f.TempDir(), "fuzz", config.Limits, time.Now, log)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &connection{server: &Server{config: config}, limits: config.Limits, ctx: t.Context(), soft: t.Context(), log: log, drop: d}
		h := files{c}
		channel := &pipe{Reader: io.MultiReader(bytes.NewReader(sealed(newPacket(fxpInit, 3))), bytes.NewReader(data))}
		server := sftp.NewRequestServer(newPackets(channel, c.seen), sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h})
		if server.Serve() == nil {
			t.Error("the session ended without an end of its input")
		}
		if c.busy.Load() != 0 || c.handles.Load() != 0 {
			t.Errorf("left: %d busy, %d handles", c.busy.Load(), c.handles.Load())
		}
		for p := range d.partials {
			if d.partials[p].busy || checkPath(p) != nil {
				t.Errorf("left: %q %+v", p, d.partials[p])
			}
		}
	})
}

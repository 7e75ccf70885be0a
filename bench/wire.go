package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
)

// wire stands between a replica and PostgreSQL. It counts what passes by the protocol alone, so that the figures don't
// rest on what the program says of itself: https://www.postgresql.org/docs/15/protocol-message-formats.html
type wire struct {
	listener net.Listener
	server   string // socket

	mu    sync.Mutex
	lines []*line
}

// line is one connection. What it is for is told by its statements.
type line struct {
	purpose string
	trips   int // messages that ask for an answer to all before
	sent    trip
	texts   map[string]string // statements by their names

	takes, waited, settlements int
}

// trip is what has been sent since the last.
type trip struct {
	rows int   // of the quota
	need int64 // credits for calls that wait
}

// The purposes of connections: beats, credits, and other work on either store.
const (
	forBeats   = "beats"
	forCredits = "credits"
	forStock   = "stock"
	forOthers  = "others"
)

func openWire(server string) *wire {
	w := &wire{listener: listen(), server: server}
	go func() {
		for {
			client, err := w.listener.Accept()
			if err != nil {
				return
			}
			go w.join(client)
		}
	}()
	return w
}

func (w *wire) close() { _ = w.listener.Close() }

// join passes on both ways until either side ends.
func (w *wire) join(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", w.server)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	defer server.Close()
	_ = w.follow(bufio.NewReaderSize(client, 64<<10), bufio.NewWriterSize(server, 64<<10))
}

// follow reads messages of the client, counts them and passes them on.
func (w *wire) follow(from *bufio.Reader, to *bufio.Writer) error {
	start, err := message(from, 0)
	if err != nil {
		return err
	}
	l := &line{purpose: forOthers, texts: map[string]string{}}
	if bytes.Contains(start, []byte("carfluence stock")) { // the application's name
		l.purpose = forStock
	}
	w.mu.Lock()
	w.lines = append(w.lines, l)
	w.mu.Unlock()
	for text := start; ; {
		if _, err := to.Write(text); err != nil {
			return err
		}
		if from.Buffered() == 0 {
			if err := to.Flush(); err != nil {
				return err
			}
		}
		if text, err = message(from, 1); err != nil {
			return errors.Join(err, to.Flush())
		}
		w.mu.Lock()
		l.count(text[0], text[5:])
		w.mu.Unlock()
	}
}

// message is the next one whole; its length stands after its type.
func message(from *bufio.Reader, kind int) ([]byte, error) {
	head, err := from.Peek(kind + 4)
	if err != nil {
		return nil, err
	}
	text := make([]byte, kind+int(binary.BigEndian.Uint32(head[kind:])))
	_, err = io.ReadFull(from, text)
	return text, err
}

func (l *line) count(kind byte, body []byte) {
	switch kind {
	case 'P': // Parse: name, text
		name, rest, _ := bytes.Cut(body, []byte{0})
		query, _, _ := bytes.Cut(rest, []byte{0})
		l.texts[string(name)] = string(query)
		l.classify(string(query))
	case 'B': // Bind: portal, name, parameters
		_, rest, _ := bytes.Cut(body, []byte{0})
		name, rest, _ := bytes.Cut(rest, []byte{0})
		if strings.HasPrefix(l.texts[string(name)], "INSERT INTO quota ") {
			const need = 7
			l.sent.rows++
			l.sent.need += number64(parameter(rest, need))
		}
	case 'Q', 'S': // Query, Sync
		l.trips++
		l.end()
	}
}

// end tells a take from a settlement: calls wait for it. One of both is a take.
func (l *line) end() {
	switch {
	case l.sent.need > 0:
		l.takes++
		l.waited += int(l.sent.need)
	case l.sent.rows > 0:
		l.settlements++
	}
	l.sent = trip{}
}

func (l *line) classify(query string) {
	switch {
	case strings.HasPrefix(query, "UPDATE replica SET seen"):
		l.purpose = forBeats
	case strings.HasPrefix(query, "INSERT INTO quota "):
		l.purpose = forCredits
	}
}

// parameter is the n-th value of a Bind, from 1.
func parameter(bind []byte, n int) []byte {
	bind = bind[2+2*int(binary.BigEndian.Uint16(bind)):] // formats
	bind = bind[2:]
	for ; ; n-- {
		length := int32(binary.BigEndian.Uint32(bind))
		bind = bind[4:]
		if length < 0 { // NULL
			length = 0
		}
		if n == 1 {
			return bind[:length]
		}
		bind = bind[length:]
	}
}

// number64 reads a BIGINT in binary.
func number64(value []byte) int64 {
	if len(value) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(value))
}

// tally sums up round trips.
type tally struct {
	beats, settlements int
	takes, waited      int // takes of credits, and the calls that waited for them
	stock, others      int
}

func (w *wire) tally() (t tally) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		t.takes, t.waited, t.settlements = t.takes+l.takes, t.waited+l.waited, t.settlements+l.settlements
		switch l.purpose {
		case forBeats:
			t.beats += l.trips
		case forStock:
			t.stock += l.trips
		default:
			t.others += l.trips - l.takes - l.settlements
		}
	}
	return t
}

func (t *tally) add(o tally, sign int) {
	t.beats, t.settlements = t.beats+sign*o.beats, t.settlements+sign*o.settlements
	t.takes, t.waited = t.takes+sign*o.takes, t.waited+sign*o.waited
	t.stock, t.others = t.stock+sign*o.stock, t.others+sign*o.others
}

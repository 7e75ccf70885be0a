package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// Packet types and numbers of draft-ietf-secsh-filexfer-02.
const (
	fxpInit     = 1
	fxpVersion  = 2
	fxpOpen     = 3
	fxpSetstat  = 9
	fxpFsetstat = 10
	fxpOpendir  = 11
	fxpRemove   = 13
	fxpMkdir    = 14
	fxpRmdir    = 15
	fxpRename   = 18
	fxpStatus   = 101
	fxpExtended = 200

	fxPermissionDenied = 3
	protocolVersion    = 3

	fsyncExtension  = "fsync@openssh.com"        // PROTOCOL of OpenSSH, 4.4
	renameExtension = "posix-rename@openssh.com" // 4.1

	// syncAttribute is the flag of an SSH_FXP_FSETSTAT that stands for an fsync; no attribute has this bit.
	syncAttribute = 1 << 30

	maxPacket = 256 << 10 // bytes, as in package sftp
)

var errPacket = errors.New("the packet is malformed")

// packets stands between an SSH channel and package sftp's server. It greets the client with the extensions
// that are really there, answers names that lead out of the folder, and gives fsync@openssh.com, which the
// package does not know, a form it does: SSH_FXP_FSETSTAT with a flag of its own, on the same handle, let
// through when everything before it is answered. It also holds back what follows an open until that is answered:
// the package would use a handle that a client has guessed while it is still being made.
type packets struct {
	channel io.ReadWriteCloser
	seen    func() // called for each packet of the client

	frame   []byte // the client's packet, with its length in front
	rest    []byte // what the server has not read of it
	greeted bool
	opening bool // the last packet passed on makes a handle

	mu       sync.Mutex
	settled  *sync.Cond // open == 0, or broken
	open     int        // packets passed on and not answered
	broken   bool       // answers no longer get out
	answered frames
}

func newPackets(channel io.ReadWriteCloser, seen func()) *packets {
	p := &packets{channel: channel, seen: seen}
	p.settled = sync.NewCond(&p.mu)
	return p
}

// Read implements io.Reader for the server: the client's packets, one after the other.
func (p *packets) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// next reads a packet and sets rest to what is passed on of it.
func (p *packets) next() error {
	var head [4]byte
	if _, err := io.ReadFull(p.channel, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxPacket {
		return errPacket
	}
	p.frame = append(append(p.frame[:0], head[:]...), make([]byte, n)...)
	if _, err := io.ReadFull(p.channel, p.frame[4:]); err != nil {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	p.seen()
	return p.sort(p.frame[4], p.frame[5:])
}

// sort decides what becomes of a packet.
func (p *packets) sort(kind byte, body []byte) error {
	if p.greeted == (kind == fxpInit) {
		return errPacket // the greeting comes first, and once
	}
	if kind == fxpInit {
		p.greeted = true
		return p.reply(versionPacket())
	}
	if p.opening {
		p.wait()
	}
	p.opening = kind == fxpOpen || kind == fxpOpendir
	f := fields{rest: body}
	id := f.number()
	names := 0
	switch kind {
	case fxpOpen, fxpSetstat, fxpRemove, fxpMkdir, fxpRmdir:
		names = 1
	case fxpRename:
		names = 2
	case fxpExtended:
		switch f.text() {
		case renameExtension:
			names = 2
		case fsyncExtension:
			return p.fsync(id, f.text(), f.bad)
		}
	}
	for range names {
		if climbs(f.text()) {
			return p.refuse(id, "the name leads out of the folder")
		}
	}
	p.pass(p.frame)
	return nil
}

// fsync passes the request on as the other packet.
func (p *packets) fsync(id uint32, handle string, bad bool) error {
	if bad {
		return errPacket
	}
	p.wait()
	out := newPacket(fxpFsetstat, id)
	out = appendText(out, handle)
	p.pass(sealed(binary.BigEndian.AppendUint32(out, syncAttribute)))
	return nil
}

// refuse answers a packet in place of the server.
func (p *packets) refuse(id uint32, reason string) error {
	out := binary.BigEndian.AppendUint32(newPacket(fxpStatus, id), fxPermissionDenied)
	return p.reply(sealed(appendText(appendText(out, reason), "en")))
}

func (p *packets) pass(frame []byte) {
	p.mu.Lock()
	p.open++
	p.mu.Unlock()
	p.rest = frame
}

// wait returns when every packet passed on is answered, so that nothing is being written by the server.
func (p *packets) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.open > 0 && !p.broken {
		p.settled.Wait()
	}
}

// reply sends a packet of our own.
func (p *packets) reply(frame []byte) error {
	p.wait()
	_, err := p.channel.Write(frame)
	return err
}

// Write implements io.Writer for the server's answers.
func (p *packets) Write(b []byte) (int, error) {
	n, err := p.channel.Write(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open -= p.answered.count(b[:n])
	if err != nil {
		p.broken = true
	}
	if p.open <= 0 || p.broken {
		p.settled.Broadcast()
	}
	return n, err
}

// Close implements io.Closer.
func (p *packets) Close() error {
	p.mu.Lock()
	p.broken = true
	p.settled.Broadcast()
	p.mu.Unlock()
	return p.channel.Close()
}

// frames counts packets in a stream of bytes.
type frames struct {
	head []byte // of a length that is not complete
	left int    // bytes of the packet under way
}

// count takes the next bytes and returns how many packets ended in them.
func (f *frames) count(b []byte) int {
	ended := 0
	for len(b) > 0 {
		if f.left == 0 {
			n := min(4-len(f.head), len(b))
			f.head = append(f.head, b[:n]...)
			b = b[n:]
			if len(f.head) < 4 {
				return ended
			}
			f.left = int(binary.BigEndian.Uint32(f.head))
			f.head = f.head[:0]
			continue
		}
		n := min(f.left, len(b))
		b = b[n:]
		if f.left -= n; f.left == 0 {
			ended++
		}
	}
	return ended
}

// fields reads the members of a packet.
type fields struct {
	rest []byte
	bad  bool // something was missing
}

func (f *fields) number() uint32 {
	if len(f.rest) < 4 {
		f.rest, f.bad = nil, true
		return 0
	}
	n := binary.BigEndian.Uint32(f.rest)
	f.rest = f.rest[4:]
	return n
}

func (f *fields) text() string {
	n := f.number()
	if uint64(n) > uint64(len(f.rest)) {
		f.rest, f.bad = nil, true
		return ""
	}
	text := string(f.rest[:n])
	f.rest = f.rest[n:]
	return text
}

// newPacket begins a packet; sealed writes its length.
func newPacket(kind byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0, kind}, id)
}

func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}

func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func versionPacket() []byte {
	out := newPacket(fxpVersion, protocolVersion)
	for _, name := range []string{renameExtension, fsyncExtension} {
		out = appendText(appendText(out, name), "1")
	}
	return sealed(out)
}

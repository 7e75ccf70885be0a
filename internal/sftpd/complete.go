package sftpd

import (
	"context"
	"path"
	"time"
)

// receiver hands a complete file on.
type receiver func(context.Context, Upload) error

// close ends an upload: a whole file with a final name goes to receive, any other stays as a partial one.
func (d *drop) close(ctx context.Context, u *upload, receive receiver) error {
	p := u.part
	defer d.release(p)
	size, reason, err := u.settle()
	if err != nil {
		d.log.Warn("upload not settled", "path", p.path, "error", err)
		return diskFault(err)
	}
	switch {
	case reason != nil && size == 0:
		d.discard(p) // nothing to resume
		return reason
	case reason != nil:
		d.log.Info("upload is partial", "path", p.path, "bytes", size, "reason", reason)
		return reason
	case temporary(p.path):
		return nil
	}
	return d.complete(ctx, p, p.path, receive)
}

// complete hands a busy partial file on under a final name; received, it is no longer partial.
func (d *drop) complete(ctx context.Context, p *partial, name string, receive receiver) error {
	file, err := d.data(p)
	if err != nil {
		d.log.Warn("upload not read", "path", p.path, "error", err)
		return diskFault(err)
	}
	d.mu.Lock()
	up := Upload{Path: name, Name: path.Base(name), Size: p.size, ModTime: p.modTime, File: file}
	d.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.limits.Receive)
	defer cancel()
	err = receive(ctx, up)
	_ = file.Close()
	if err != nil {
		d.log.Warn("file not taken", "path", name, "bytes", up.Size, "error", err)
		return receiveFault(err)
	}
	d.log.Info("file received", "path", name, "bytes", up.Size, "ms", time.Since(began).Milliseconds())
	d.mu.Lock()
	delete(d.moved, name)
	d.mu.Unlock()
	d.discard(p)
	return nil
}

// rename gives a partial file another name, and completes it when that is a final one; an arrived file only
// looks renamed.
func (d *drop) rename(ctx context.Context, from, to string, arrived []Arrived, receive receiver) error {
	p, replaced, err := d.claimRename(from, to, arrived)
	if err != nil || p == nil {
		return err
	}
	defer d.release(p)
	if temporary(to) {
		err = d.relabel(p, to)
	} else {
		err = d.complete(ctx, p, to, receive)
	}
	if replaced == nil {
		return err
	}
	if err != nil {
		d.release(replaced)
		return err
	}
	d.discard(replaced)
	return nil
}

// claimRename marks the files of a rename busy. Without a partial file there is nothing more to do.
func (d *drop) claimRename(from, to string, arrived []Arrived) (p, replaced *partial, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.use(from)
	d.use(to)
	p, replaced = d.partials[from], d.partials[to]
	if p == nil {
		return nil, nil, d.moveArrived(from, to, arrived)
	}
	if from == to {
		return nil, nil, nil
	}
	if p.busy || replaced != nil && replaced.busy {
		return nil, nil, failure("%s is being uploaded", shown(from))
	}
	if replaced == nil {
		if err := d.vacant(to); err != nil {
			return nil, nil, err
		}
	}
	if !p.closed && !temporary(to) {
		return nil, nil, failure("%s was not uploaded completely; resume or repeat it first", shown(from))
	}
	p.busy = true
	if replaced != nil {
		replaced.busy = true
	}
	return p, replaced, nil
}

// relabel gives a busy partial file another name.
func (d *drop) relabel(p *partial, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.spool.save(p.id, record{Path: to, Whole: p.size, ModTime: p.modTime, Closed: p.closed}); err != nil {
		d.log.Warn("partial file not renamed", "path", p.path, "error", err)
		return diskFault(err)
	}
	delete(d.partials, p.path)
	p.path = to
	d.partials[to] = p
	return nil
}

// remove deletes a partial file; an arrived one is only hidden.
func (d *drop) remove(name string, arrived []Arrived) error {
	d.mu.Lock()
	p := d.partials[name]
	if p == nil {
		defer d.mu.Unlock()
		return d.moveArrived(name, "", arrived)
	}
	if p.busy {
		d.mu.Unlock()
		return failure("%s is being uploaded", shown(name))
	}
	p.busy = true
	d.mu.Unlock()
	d.discard(p)
	return nil
}

// setTimes keeps the time the client gives a file; for what is no partial file it means nothing.
func (d *drop) setTimes(name string, t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.partials[name]; p != nil {
		p.modTime = t
	}
}

// truncate shortens a file that is being written.
func (d *drop) truncate(name string, size int64) error {
	d.mu.Lock()
	p := d.partials[name]
	if p == nil {
		d.mu.Unlock()
		return denied("%s has arrived and can't be changed", shown(name))
	}
	u, length := p.upload, p.size
	d.mu.Unlock()
	switch {
	case u != nil:
		return u.truncate(size)
	case size == length:
		return nil
	}
	return failure("open %s to change its length", shown(name))
}

// sync puts a file under way on disk; what is not being written is there already.
func (d *drop) sync(name string) error {
	d.mu.Lock()
	p := d.partials[name]
	var u *upload
	if p != nil {
		u = p.upload
	}
	d.mu.Unlock()
	if u == nil {
		return nil
	}
	return u.sync()
}

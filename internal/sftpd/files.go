package sftpd

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"carfluence/internal/errs"
)

// files answers the requests of one connection's SFTP sessions, from its login's drop. Package sftp calls
// it in goroutines of its own, so each method catches its panics.
type files struct{ c *connection }

// do runs one operation: counted, so that an orderly end waits for it, and with its panic caught.
func (f files) do(what string, operation func() error) (err error) {
	f.c.busy.Add(1)
	defer f.c.busy.Add(-1)
	defer func() {
		if p := recover(); p != nil {
			f.c.log.Error("panic in the SFTP server", "operation", what, "panic", p, "stack", string(debug.Stack()))
			err = failure("internal error")
		}
	}()
	return operation()
}

// Fileread implements sftp.FileReader: nothing is given back.
func (f files) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	f.c.log.Info("download refused", "path", logged(r.Filepath))
	return nil, denied("files are taken here, not given back")
}

// Filewrite implements sftp.FileWriter.
func (f files) Filewrite(r *sftp.Request) (w io.WriterAt, err error) {
	flags := r.Pflags()
	err = f.do("open", func() error {
		if f.c.draining() {
			return failure("the server is shutting down; try again in a moment")
		}
		if err := checkPath(r.Filepath); err != nil {
			return err
		}
		release, err := f.c.handle()
		if err != nil {
			return err
		}
		u, err := f.c.drop.open(r.Filepath, openFlags{create: flags.Creat, truncate: flags.Trunc, exclusive: flags.Excl, append: flags.Append})
		if err != nil {
			release()
			return err
		}
		f.c.busy.Add(1)
		w = &openFile{f, u, sync.OnceFunc(func() { release(); f.c.busy.Add(-1) })}
		return nil
	})
	if err != nil {
		f.c.log.Info("upload refused", "path", logged(r.Filepath), "reason", err)
	}
	return w, err
}

// openFile is an upload as package sftp sees it.
type openFile struct {
	files   files
	upload  *upload
	release func()
}

func (o *openFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = o.files.do("write", func() error {
		n, err = o.upload.WriteAt(p, off)
		return err
	})
	return n, err
}

// TransferError implements sftp.TransferError, which is called before Close when the connection is gone.
func (o *openFile) TransferError(err error) {
	_ = o.files.do("abort", func() error { o.upload.TransferError(err); return nil })
}

func (o *openFile) Close() error {
	defer o.release()
	return o.files.do("close", func() error {
		return o.files.c.drop.close(o.files.c.ctx, o.upload, o.files.receive)
	})
}

// receive hands a file on, unless its login has ended since it was last asked for.
func (f files) receive(ctx context.Context, u Upload) error {
	f.c.receiving.Add(1) // a long Receive is no idle time
	defer f.c.receiving.Add(-1)
	defer f.c.seen()
	switch valid, err := f.c.valid(ctx); {
	case err != nil:
		return errs.UnavailableFor(time.Minute, "the server can't check your login now; try again later", err)
	case !valid:
		return errs.New(errs.KindUnauthenticated, "credentials_invalid", "your credentials have ended; log in with the new ones and send the file again")
	}
	return f.c.server.config.Receive(ctx, f.c.login, u)
}

// Filecmd implements sftp.FileCmder.
func (f files) Filecmd(r *sftp.Request) error {
	return f.do(r.Method, func() error {
		switch r.Method {
		case "Setstat":
			return f.setstat(r)
		case "Mkdir":
			return f.c.drop.mkdir(r.Filepath)
		case "Rename", "Remove", "Rmdir":
			return f.change(r)
		}
		f.c.log.Info("request refused", "request", r.Method, "path", logged(r.Filepath))
		return unsupported("there are no links here")
	})
}

// change does what can concern arrived files as well.
func (f files) change(r *sftp.Request) error {
	arrived, err := f.arrived()
	if err != nil {
		return err
	}
	switch r.Method {
	case "Rename":
		if err := checkPath(r.Target); err != nil {
			return err
		}
		return f.c.drop.rename(f.c.ctx, r.Filepath, r.Target, arrived, f.receive)
	case "Remove":
		return f.c.drop.remove(r.Filepath, arrived)
	}
	return f.c.drop.rmdir(r.Filepath, arrived)
}

// setstat takes the time and the length of a file; modes and owners mean nothing here.
func (f files) setstat(r *sftp.Request) error {
	if r.Flags == syncAttribute {
		return f.c.drop.sync(r.Filepath)
	}
	attributes, flags := r.Attributes(), r.AttrFlags()
	if attributes == nil {
		return &fault{sftp.ErrSSHFxBadMessage, "the attributes can't be read"}
	}
	if flags.Acmodtime {
		f.c.drop.setTimes(r.Filepath, attributes.ModTime())
	}
	if flags.Size {
		return f.c.drop.truncate(r.Filepath, int64(min(attributes.Size, 1<<62)))
	}
	return nil
}

// arrivedLimit is how long the list of arrived files may take.
const arrivedLimit = 10 * time.Second

func (f files) arrived() ([]Arrived, error) {
	ctx, cancel := context.WithTimeout(f.c.ctx, arrivedLimit)
	defer cancel()
	arrived, err := f.c.server.config.Arrived(ctx, f.c.login)
	if err != nil {
		f.c.log.Warn("arrived files not listed", "error", err)
		return nil, failure("the server can't look at its files now; try again later")
	}
	return arrived, nil
}

// Filelist implements sftp.FileLister.
func (f files) Filelist(r *sftp.Request) (l sftp.ListerAt, err error) {
	err = f.do(r.Method, func() error {
		arrived, err := f.arrived()
		if err != nil {
			return err
		}
		if r.Method == "Stat" {
			e, err := f.c.drop.stat(r.Filepath, arrived)
			l = listing{e}
			return err
		}
		all, err := f.c.drop.list(r.Filepath, arrived)
		if err != nil {
			return err
		}
		release, err := f.c.handle()
		l = openFolder{all, release}
		return err
	})
	return l, err
}

// Readlink implements sftp.ReadlinkFileLister.
func (f files) Readlink(string) (string, error) { return "", unsupported("there are no links here") }

// openFolder is a listing with a handle.
type openFolder struct {
	listing
	release func()
}

func (o openFolder) Close() error {
	o.release()
	return nil
}

// LookupUserName implements sftp.NameLookupFileLister: listings name no account of the system.
func (f files) LookupUserName(string) string { return "carfluence" }

// LookupGroupName implements sftp.NameLookupFileLister.
func (f files) LookupGroupName(string) string { return "carfluence" }

var _ interface {
	sftp.FileReader
	sftp.FileWriter
	sftp.FileCmder
	sftp.NameLookupFileLister
	sftp.ReadlinkFileLister
} = files{}

// cleanEnd tells whether a session ended because the client had no more to ask.
func cleanEnd(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed)
}

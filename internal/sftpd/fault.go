package sftpd

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/pkg/sftp"

	"carfluence/internal/errs"
)

// fault is a failure the client is told about. Other errors name paths of the spool and are never sent.
type fault struct {
	code error // one of sftp.ErrSSHFx…, which becomes the status
	text string
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.code }

func failure(format string, args ...any) error {
	return &fault{sftp.ErrSSHFxFailure, fmt.Sprintf(format, args...)}
}

func denied(format string, args ...any) error {
	return &fault{sftp.ErrSSHFxPermissionDenied, fmt.Sprintf(format, args...)}
}

func missing(p string) error {
	return &fault{sftp.ErrSSHFxNoSuchFile, fmt.Sprintf("%s does not exist", shown(p))}
}

func unsupported(what string) error { return &fault{sftp.ErrSSHFxOpUnsupported, what} }

// diskFault is what a client hears of a failure of the spool.
func diskFault(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return failure("the server has no space left; the part received so far is kept, continue later")
	}
	return failure("the server could not write to its disk; try again later")
}

// receiveFault is what a client hears when a complete file was not taken.
func receiveFault(err error) error {
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind != errs.KindInternal && e.Detail != "" {
		return failure("%s", e.Detail)
	}
	return failure("the server could not take the file; try again later")
}

// shown is a client's text in quotes for a message, of bounded length and without control characters.
func shown(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.QuoteToGraphic(text)
}

// logged is the same for a log's attribute, which has quotes of its own.
func logged(text string) string {
	text = shown(text)
	return text[1 : len(text)-1]
}

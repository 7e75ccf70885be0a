//go:build !linux

package app

import "errors"

// Other systems don't say what a second listen(2) on an open port does.
func shortQueue(uintptr) error { return errors.ErrUnsupported }

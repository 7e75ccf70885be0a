package main

import "io"

func (b *bench) stores(w io.Writer) error { return nil }

package main

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// rawCodec passes messages through as bytes: the generator looks only at the
// text in a reply, and decoding the rest would cost the CPU that it shares with
// the server under test.
type rawCodec struct{}

// Marshal sends the bytes as they are.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	data, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

// Unmarshal keeps a copy of the bytes received; v is a *[]byte that is reused.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	into, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("cannot receive into a %T", v)
	}
	size := data.Len()
	if cap(*into) < size {
		*into = make([]byte, size)
	}
	*into = (*into)[:size]
	data.CopyTo(*into)
	return nil
}

// Name is that of the codec whose bytes these are.
func (rawCodec) Name() string { return "proto" }

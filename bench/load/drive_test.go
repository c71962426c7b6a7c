package main

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"antiphon/bench/upstream/tokens"
)

var testMethod = rpc{path: "/test.Service/Stream", streaming: true, text: fieldPath{1, 12, 2}}

// delta encodes a message with the text at the path of testMethod, among fields
// that the generator must pass over.
func delta(text string) []byte {
	inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 7)
	inner = protowire.AppendString(protowire.AppendTag(inner, 2, protowire.BytesType), text)
	event := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "stream")
	event = protowire.AppendBytes(protowire.AppendTag(event, 12, protowire.BytesType), inner)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), event)
}

// deliver runs one call against a server that sends the given texts.
func deliver(t *testing.T, texts []string) record {
	t.Helper()
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(&[]byte{}); err != nil {
			return err
		}
		for _, text := range texts {
			if err := stream.SendMsg(delta(text)); err != nil {
				return err
			}
		}
		return nil
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	connections, err := connect(ctx, listener.Addr().String(), 1, false, nil)
	t.Cleanup(func() { closeAll(connections) })
	if err != nil {
		t.Fatal(err)
	}
	return drive(overGRPC(ctx, connections, testMethod, tokens.Full(40)), load{concurrency: 1, calls: 1})
}

func sent() []string {
	texts := []string{}
	for i := range 40 {
		texts = append(texts, tokens.Text(i))
	}
	return texts
}

// The check that everything rests on: a stream counts only if its text is whole.
func TestOnlyTheWholeTextPasses(t *testing.T) {
	swapped := sent()
	swapped[10], swapped[11] = swapped[11], swapped[10]
	wrong := map[string][]string{
		"lost":      slices.Delete(sent(), 10, 11),
		"doubled":   slices.Insert(sent(), 10, tokens.Text(10)),
		"swapped":   swapped,
		"cut short": sent()[:39],
		"too long":  append(sent(), tokens.Text(40)),
		"nothing":   {},
	}
	for name, texts := range wrong {
		if got := deliver(t, texts); len(got.failures) == 0 || got.completed != 0 {
			t.Errorf("%s: the text was taken for whole", name)
		}
	}
	if got := deliver(t, sent()); len(got.failures) != 0 || got.deliveries != 40 || len(got.gaps) != 39 {
		t.Errorf("token by token: %d deliveries, %d gaps, failures %v", got.deliveries, len(got.gaps), got.failures)
	}
	merged := []string{sent()[0], strings.Join(sent()[1:], "")}
	if got := deliver(t, merged); len(got.failures) != 0 || got.deliveries != 2 {
		t.Errorf("merged: %d deliveries, failures %v", got.deliveries, got.failures)
	}
}

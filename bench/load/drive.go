package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// load is how calls are made.
type load struct {
	concurrency int           // callers at work at the same time
	calls       int           // calls altogether
	ramp        time.Duration // over which the callers start, evenly
}

// fixedWindow is ample for what the bench sends. Giving grpc-go any window turns
// off its bandwidth probe.
const fixedWindow = 4 << 20

// record is what one caller saw.
type record struct {
	latencies, firsts, gaps []time.Duration
	messages, deliveries    int
	bytes, textBytes        int
	failures                []error
	completed               int
}

func (r *record) add(other record) {
	r.latencies = append(r.latencies, other.latencies...)
	r.firsts = append(r.firsts, other.firsts...)
	r.gaps = append(r.gaps, other.gaps...)
	r.messages += other.messages
	r.deliveries += other.deliveries
	r.bytes += other.bytes
	r.textBytes += other.textBytes
	r.failures = append(r.failures, other.failures...)
	r.completed += other.completed
}

// connect opens the connections and waits until they are ready, so that the
// handshakes are not part of what is measured.
func connect(ctx context.Context, target string, count int, fixed bool, secure *tls.Config) ([]*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if secure != nil {
		transport = credentials.NewTLS(secure)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})),
	}
	if fixed {
		options = append(options, grpc.WithInitialWindowSize(fixedWindow), grpc.WithInitialConnWindowSize(fixedWindow))
	}
	connections := make([]*grpc.ClientConn, 0, count)
	for range count {
		connection, err := grpc.NewClient("passthrough:///"+target, options...)
		if err != nil {
			return connections, err
		}
		connections = append(connections, connection)
		connection.Connect()
		for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
			if !connection.WaitForStateChange(ctx, state) {
				return connections, fmt.Errorf("no connection to %s (%s)", target, state)
			}
		}
	}
	return connections, nil
}

// callOnce makes one call and checks it.
type callOnce func(r *record) error

// caller gives each caller, by its number, its way to call.
type caller func(number int) callOnce

// overGRPC shares the connections between the callers in turn.
func overGRPC(ctx context.Context, connections []*grpc.ClientConn, method rpc, expected string) caller {
	return func(number int) callOnce {
		connection := connections[number%len(connections)]
		buffer := make([]byte, 0, 4096)
		return func(r *record) error { return r.call(ctx, connection, method, expected, &buffer) }
	}
}

// drive makes the calls and returns what the callers saw together.
func drive(calling caller, plan load) record {
	tickets := make(chan struct{}, plan.calls)
	for range plan.calls {
		tickets <- struct{}{}
	}
	close(tickets)
	records := make([]record, plan.concurrency)
	var callers sync.WaitGroup
	for number := range plan.concurrency {
		callers.Go(func() {
			if plan.ramp > 0 {
				time.Sleep(plan.ramp * time.Duration(number) / time.Duration(plan.concurrency))
			}
			call := calling(number)
			for range tickets {
				if err := call(&records[number]); err != nil {
					records[number].failures = append(records[number].failures, err)
					// A server that fails once fails often: the rest of this
					// caller's share would only bury the first cause.
					return
				}
			}
		})
	}
	callers.Wait()
	total := record{}
	for _, one := range records {
		total.add(one)
	}
	if total.completed < plan.calls && len(total.failures) == 0 {
		total.failures = append(total.failures, fmt.Errorf("%d of %d calls were made", total.completed, plan.calls))
	}
	return total
}

// call makes one call and checks every byte of text that it delivers.
func (r *record) call(ctx context.Context, connection *grpc.ClientConn, method rpc, expected string, buffer *[]byte) error {
	start := time.Now()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: method.streaming}, method.path)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(method.request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	offset := 0
	var last time.Time
	for {
		err := stream.RecvMsg(buffer)
		now := time.Now()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d bytes of text: %w", offset, err)
		}
		before := offset
		wrong := false
		malformed := method.text.visit(*buffer, func(text []byte) {
			end := offset + len(text)
			wrong = wrong || end > len(expected) || expected[offset:end] != string(text)
			offset = end
		})
		if malformed != nil {
			return malformed
		}
		if wrong {
			return fmt.Errorf("the text differs from what the upstream sent, after %d bytes", before)
		}
		r.messages++
		r.bytes += len(*buffer)
		if offset > before {
			r.deliveries++
			if last.IsZero() {
				r.firsts = append(r.firsts, now.Sub(start))
			} else {
				r.gaps = append(r.gaps, now.Sub(last))
			}
			last = now
		}
		if !method.streaming {
			break
		}
	}
	if offset != len(expected) {
		return fmt.Errorf("%d of %d bytes of text arrived", offset, len(expected))
	}
	r.textBytes += offset
	r.latencies = append(r.latencies, time.Since(start))
	r.completed++
	return nil
}

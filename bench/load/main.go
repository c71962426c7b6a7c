// Command load calls the completion RPCs of a server, checks that every byte of
// text is what the mock upstream sends, and tells what it cost: the server's CPU
// from the kernel's counters of its processes, latencies, and the gaps between
// deliveries. It speaks to any server of the contract, so that the bare server
// and Antiphon are judged by the same program.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"antiphon/bench/upstream/tokens"
)

// maxFailures bounds how many different failures are told: the first show the cause.
const maxFailures = 5

type options struct {
	target, protoset, request, model, upstream string
	authority, key                             string
	streaming, fixedWindow, json               bool
	connections                                int
	serverPID, upstreamPID                     int
	settle, deadline                           time.Duration
	plan                                       load
}

func main() {
	o := options{}
	flag.StringVar(&o.target, "target", "", "the server's host:port")
	flag.StringVar(&o.protoset, "protoset", "", "the contract as a file descriptor set")
	flag.StringVar(&o.request, "request", "", "a file with the request as JSON")
	flag.StringVar(&o.authority, "authority", "", "who signed the server's certificate (PEM); none: plaintext")
	flag.StringVar(&o.key, "key", "", "the API key that each call carries")
	flag.BoolVar(&o.json, "json", false, "call the unary RPC as the Connect protocol has it, with JSON over HTTP/1.1, a connection a caller")
	flag.StringVar(&o.model, "model", "bench/mock-t20-r0", "the model, which names the workload")
	flag.StringVar(&o.upstream, "upstream", "", "the mock upstream's host:port, to compare what it sent with what arrived")
	flag.BoolVar(&o.streaming, "stream", false, "call StreamComplete instead of Complete")
	flag.IntVar(&o.connections, "connections", 4, "connections, shared by the callers in turn")
	flag.BoolVar(&o.fixedWindow, "fixed-window", false, "set the flow-control windows, which turns off grpc-go's bandwidth probe: a ping for nearly every read")
	flag.IntVar(&o.plan.concurrency, "concurrency", 32, "callers at work at the same time")
	flag.IntVar(&o.plan.calls, "calls", 1000, "calls altogether")
	flag.DurationVar(&o.plan.ramp, "ramp", 0, "the time over which the callers start")
	flag.IntVar(&o.serverPID, "server-pid", 0, "the server's process, whose CPU is counted with its descendants'")
	flag.IntVar(&o.upstreamPID, "upstream-pid", 0, "the mock upstream's process")
	flag.DurationVar(&o.settle, "settle", 100*time.Millisecond, "the wait before the last reading of the CPU counters, so that work put off past the reply is counted")
	flag.DurationVar(&o.deadline, "deadline", time.Minute, "the longest the run may take")
	flag.Parse()

	outcome, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(outcome)
	if len(outcome.Failures) > 0 {
		os.Exit(1)
	}
}

// reading is the state of all counters at one moment.
type reading struct {
	at                          time.Time
	server, upstream, generator usage
	seen                        seen
}

func read(o options) (reading, error) {
	now := reading{}
	var err error
	if now.seen, err = ask(o.upstream); err != nil {
		return now, err
	}
	if now.server, err = treeUsage(o.serverPID); err != nil {
		return now, err
	}
	if now.upstream, err = treeUsage(o.upstreamPID); err != nil {
		return now, err
	}
	now.generator, err = treeUsage(os.Getpid())
	now.at = time.Now()
	return now, err
}

func run(o options) (result, error) {
	work, err := tokens.Parse(o.model)
	if err != nil {
		return result{}, err
	}
	method, err := loadRPC(o.protoset, o.request, o.model, o.streaming)
	if err != nil {
		return result{}, err
	}
	secure, err := clientTLS(o.authority)
	if err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.deadline)
	defer cancel()
	expected := tokens.Full(work.Tokens)
	var calling caller
	if o.json {
		ours := newConnectJSON(o.target, method.path, o.key, method.json, secure, o.plan.concurrency)
		defer ours.client.CloseIdleConnections()
		if err := ours.warm(ctx, expected, o.plan.concurrency); err != nil {
			return result{}, err
		}
		calling = func(int) callOnce {
			return func(r *record) error { return ours.call(ctx, r, expected) }
		}
	} else {
		connections, err := connect(ctx, o.target, o.connections, o.fixedWindow, secure)
		defer closeAll(connections)
		if err != nil {
			return result{}, err
		}
		if o.key != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+o.key)
		}
		calling = overGRPC(ctx, connections, method, expected)
	}
	before, err := read(o)
	if err != nil {
		return result{}, err
	}
	total := drive(calling, o.plan)
	end := time.Now()
	time.Sleep(o.settle)
	after, err := read(o)
	if err != nil {
		return result{}, err
	}
	outcome := result{
		Model: o.model, Method: method.path,
		Concurrency: o.plan.concurrency, Connections: o.connections,
		Calls: o.plan.calls, Completed: total.completed,
		Wall: end.Sub(before.at).Seconds(),
		// Text is checked byte by byte, so a completed call delivered them all.
		Tokens:   total.completed * work.Tokens,
		Messages: total.messages, Deliveries: total.deliveries,
		Bytes: total.bytes, TextBytes: total.textBytes,
		Server:    seconds(after.server.minus(before.server)),
		Upstream:  seconds(after.upstream.minus(before.upstream)),
		Generator: seconds(after.generator.minus(before.generator)),
		Latency:   summarise(total.latencies), First: summarise(total.firsts), Gap: summarise(total.gaps),
		Seen:     after.seen.minus(before.seen),
		Failures: []string{},
	}
	// The generator's own questions to the upstream open a connection each.
	outcome.Seen.Connections = max(0, outcome.Seen.Connections-1)
	if total.completed > 0 {
		outcome.PerCall = outcome.Server.Seconds * 1e6 / float64(total.completed)
		outcome.PerToken = outcome.Server.Seconds * 1e6 / float64(outcome.Tokens)
	}
	outcome.judge(o, total.failures)
	return outcome, nil
}

// judge adds to the failures what no single call can see.
func (r *result) judge(o options, failures []error) {
	counts := map[string]int{}
	texts := []string{}
	for _, failure := range failures {
		if counts[failure.Error()]++; counts[failure.Error()] == 1 {
			texts = append(texts, failure.Error())
		}
	}
	for _, text := range texts[:min(len(texts), maxFailures)] {
		r.Failures = append(r.Failures, fmt.Sprintf("%d x %s", counts[text], text))
	}
	if more := len(texts) - maxFailures; more > 0 {
		r.Failures = append(r.Failures, fmt.Sprintf("and %d other failures", more))
	}
	if len(failures) > 0 || o.upstream == "" {
		return
	}
	if requests := r.Seen.Whole + r.Seen.Streams; requests != int64(r.Calls) {
		r.Failures = append(r.Failures, fmt.Sprintf("the upstream saw %d requests for %d calls", requests, r.Calls))
	}
	if r.Seen.Tokens != int64(r.Tokens) {
		r.Failures = append(r.Failures, fmt.Sprintf("the upstream sent %d tokens and %d arrived", r.Seen.Tokens, r.Tokens))
	}
}

func closeAll(connections []*grpc.ClientConn) {
	for _, connection := range connections {
		_ = connection.Close()
	}
}

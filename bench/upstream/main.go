// Command upstream is a mock of a provider that speaks the OpenAI
// chat-completions wire format on loopback. It is compiled so that it costs
// little beside the server under test, and deterministic so that what a server
// delivers can be checked byte by byte. The model's name chooses the workload:
// see the package tokens.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"antiphon/bench/upstream/tokens"
)

// maxBody bounds a request's body; what the bench sends is under a kilobyte.
const maxBody = 8 << 20

// counters is what the mock saw and sent, for the generator to compare with
// what arrived.
type counters struct {
	Connections atomic.Int64
	Open        atomic.Int64
	Whole       atomic.Int64
	Streams     atomic.Int64
	BrokenOff   atomic.Int64
	Tokens      atomic.Int64
	Exports     atomic.Int64
	Spans       atomic.Int64
}

type upstream struct {
	seed     uint64
	sequence atomic.Uint64
	seen     counters
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "the loopback address to listen on; port 0 takes a free one")
	seed := flag.Uint64("seed", 1, "the seed of the streams' phases")
	lifetime := flag.Duration("lifetime", 30*time.Minute, "exit after this long, so that an orphan never stays")
	flag.Parse()
	if err := serve(*address, *seed, *lifetime); err != nil {
		log.Fatal(err)
	}
}

func serve(address string, seed uint64, lifetime time.Duration) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(listener.Addr().String())
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("refusing to listen on %s: the mock belongs on loopback", listener.Addr())
	}
	up := &upstream{seed: seed}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", up.chat)
	mux.HandleFunc("GET /v1/models", models)
	mux.HandleFunc("GET /bench/seen", up.report)
	mux.HandleFunc("POST "+exportPath, up.takeSpans)
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				up.seen.Connections.Add(1)
				up.seen.Open.Add(1)
			case http.StateClosed, http.StateHijacked:
				up.seen.Open.Add(-1)
			}
		},
	}
	// A provider is asked by HTTP/1.1; spans come by gRPC.
	server.Protocols = &http.Protocols{}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	// The one line that the runner waits for: it tells the port.
	fmt.Printf("listening on %s\n", listener.Addr())

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-stop:
		case <-time.After(lifetime):
		}
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func models(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"object":"list","data":[` +
		`{"id":"mock-t20-r0","object":"model","created":1700000000,"owned_by":"bench"},` +
		`{"id":"mock-t100-r50","object":"model","created":1700000000,"owned_by":"bench"},` +
		`{"id":"mock-t2000-r0","object":"model","created":1700000000,"owned_by":"bench"}]}` + "\n"))
}

// report tells the counters; the generator reads it before and after a run.
func (u *upstream) report(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]int64{
		"connections": u.seen.Connections.Load(),
		"open":        u.seen.Open.Load(),
		"whole":       u.seen.Whole.Load(),
		"streams":     u.seen.Streams.Load(),
		"broken_off":  u.seen.BrokenOff.Load(),
		"tokens":      u.seen.Tokens.Load(),
		"exports":     u.seen.Exports.Load(),
		"spans":       u.seen.Spans.Load(),
	})
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"message": message, "type": "invalid_request_error", "param": nil, "code": nil,
	}})
}

func (u *upstream) chat(w http.ResponseWriter, r *http.Request) {
	request := chatRequest{}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&request); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not a chat-completions request: "+err.Error())
		return
	}
	work, err := tokens.Parse(request.Model)
	if err != nil {
		refuse(w, http.StatusNotFound, err.Error())
		return
	}
	if len(request.Messages) == 0 {
		refuse(w, http.StatusBadRequest, "messages must not be empty")
		return
	}
	promptTokens := 0
	for _, message := range request.Messages {
		// A prompt's tokens are not what is measured: four bytes a token will do.
		promptTokens += 1 + len(message)/4
	}
	number := u.sequence.Add(1)
	id := fmt.Sprintf("chatcmpl-bench%010d", number)
	// What follows the last slash was parsed, so JSON need not escape it.
	model := request.Model[strings.LastIndexByte(request.Model, '/')+1:]
	created := time.Now().Unix()
	w.Header().Set("x-request-id", fmt.Sprintf("req_%010d", number))
	if work.Delay > 0 && !sleep(r, work.Delay) {
		u.seen.BrokenOff.Add(1)
		return
	}
	if !request.Stream {
		u.seen.Whole.Add(1)
		u.seen.Tokens.Add(int64(work.Tokens))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(whole(nil, id, model, created, promptTokens, work.Tokens))
		return
	}
	u.seen.Streams.Add(1)
	shape := newEnvelope(id, model, created, request.StreamOptions.IncludeUsage)
	if !u.stream(w, r, shape, work, number) {
		u.seen.BrokenOff.Add(1)
		return
	}
	_, _ = w.Write(shape.finish(nil, id, model, created, promptTokens, work.Tokens))
}

// stream sends the opening chunk and the tokens, each flushed by itself as
// providers do, and tells whether the reader stayed to the end.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request, shape envelope, work tokens.Workload, number uint64) bool {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	flush := http.NewResponseController(w)
	buffer := make([]byte, 0, 1024)
	send := func(chunk []byte) bool {
		if _, err := w.Write(chunk); err != nil {
			return false
		}
		return flush.Flush() == nil
	}
	if !send(shape.opening(buffer[:0])) {
		return false
	}
	period := time.Duration(0)
	next := time.Now()
	if work.Rate > 0 {
		period = time.Duration(float64(time.Second) / work.Rate)
		// Streams of real callers do not tick together: each has its own phase.
		// Otherwise a hundred of them would come as one burst every period.
		phase := rand.New(rand.NewPCG(u.seed, number))
		next = next.Add(time.Duration(phase.Int64N(int64(period))))
	}
	for i := range work.Tokens {
		if period > 0 {
			// The schedule is absolute, so a late wake-up does not slow the stream.
			if wait := time.Until(next); wait > 0 && !sleep(r, wait) {
				return false
			}
			next = next.Add(period)
		}
		if !send(shape.token(buffer[:0], i)) {
			return false
		}
		u.seen.Tokens.Add(1)
	}
	return true
}

// sleep waits, and tells whether the caller was still there at the end of it.
func sleep(r *http.Request, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

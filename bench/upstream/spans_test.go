package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// field encodes one length-delimited protobuf field of at most 127 bytes.
func field(number byte, value []byte) []byte {
	return append([]byte{number<<3 | 2, byte(len(value))}, value...)
}

// export is two spans of one scope, one of another, among fields to pass over.
func export() []byte {
	span := field(2, field(1, []byte("0123456789abcdef")))
	scope := bytes.Join([][]byte{{5<<3 | 0, 7}, field(1, []byte("name")), span, span}, nil)
	other := append(span, 3<<3|1, 1, 2, 3, 4, 5, 6, 7, 8)
	return field(1, append(field(2, scope), field(2, other)...))
}

func TestSpansAreCounted(t *testing.T) {
	if got := count(export(), spanPath); got != 3 {
		t.Errorf("%d spans instead of 3", got)
	}
	whole := export()
	for end := range whole {
		_ = count(whole[:end], spanPath) // must neither panic nor hang
	}
}

func TestAnExportIsAnsweredByGRPC(t *testing.T) {
	up := &upstream{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(up.takeSpans))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	transport := &http.Transport{Protocols: server.Config.Protocols}
	message := export()
	body := append([]byte{0, 0, 0, 0, byte(len(message))}, message...)
	for want, sent := range map[string][]byte{"0": body, "3": {1}} {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL, bytes.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Buffer{}
		_, _ = data.ReadFrom(reply.Body)
		_ = reply.Body.Close()
		if got := reply.Trailer.Get("Grpc-Status"); got != want {
			t.Errorf("status %q instead of %q", got, want)
		}
	}
	if up.seen.Spans.Load() != 3 || up.seen.Exports.Load() != 1 {
		t.Errorf("%d spans in %d exports", up.seen.Spans.Load(), up.seen.Exports.Load())
	}
	transport.CloseIdleConnections()
}

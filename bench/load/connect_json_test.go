package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A call in JSON counts only if its text is whole, as one by gRPC does.
func TestOnlyTheWholeTextPassesAsJSON(t *testing.T) {
	answers := map[string]struct {
		status int
		body   string
		good   bool
	}{
		"whole":    {200, `{"completion":{"message":{"parts":[{"text":"ab"},{"text":"c"}]}}}`, true},
		"cut":      {200, `{"completion":{"message":{"parts":[{"text":"ab"}]}}}`, false},
		"refused":  {401, `{"code":"unauthenticated"}`, false},
		"not JSON": {200, `<html>`, false},
	}
	for name, answer := range answers {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Header.Get("Authorization") != "Bearer key" || !strings.Contains(string(body), "model") {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.WriteHeader(answer.status)
			_, _ = io.WriteString(w, answer.body)
		}))
		caller := newConnectJSON(server.Listener.Addr().String(), "/x", "key", []byte(`{"model":"m"}`), nil, 1)
		got := record{}
		err := caller.call(context.Background(), &got, "abc")
		if (err == nil) != answer.good || (got.completed == 1) != answer.good {
			t.Errorf("%s: error %v, %d completed", name, err, got.completed)
		}
		caller.client.CloseIdleConnections()
		server.Close()
	}
}

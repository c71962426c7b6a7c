package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxReply bounds a JSON answer; those of the bench have some hundred bytes.
const maxReply = 8 << 20

// connectJSON calls the unary RPC as a browser or curl does: one POST with JSON
// in and out. Every caller keeps a connection of its own, as HTTP/1.1 has it.
type connectJSON struct {
	client *http.Client
	url    string
	key    string
	body   []byte
}

// connectReply is as much of the answer as is looked at.
type connectReply struct {
	Completion struct {
		Message struct {
			Parts []struct {
				Text string `json:"text"`
			} `json:"parts"`
		} `json:"message"`
	} `json:"completion"`
}

func newConnectJSON(target, path, key string, body []byte, secure *tls.Config, callers int) *connectJSON {
	scheme := "http"
	if secure != nil {
		scheme = "https"
	}
	return &connectJSON{
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: secure, MaxIdleConnsPerHost: callers}},
		url:    scheme + "://" + target + path,
		key:    key,
		body:   body,
	}
}

// call makes one call and checks every byte of its text.
func (c *connectJSON) call(ctx context.Context, r *record, expected string) error {
	start := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Connect-Protocol-Version", "1")
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	now := time.Now()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %.300s", response.StatusCode, data)
	}
	reply := connectReply{}
	if err := json.Unmarshal(data, &reply); err != nil {
		return fmt.Errorf("the answer is no JSON of the contract: %w", err)
	}
	text := ""
	for _, part := range reply.Completion.Message.Parts {
		text += part.Text
	}
	if text != expected {
		return fmt.Errorf("%d of %d bytes of text arrived, or others", len(text), len(expected))
	}
	r.messages++
	r.deliveries++
	r.bytes += len(data)
	r.textBytes += len(text)
	r.firsts = append(r.firsts, now.Sub(start))
	r.latencies = append(r.latencies, time.Since(start))
	r.completed++
	return nil
}

// warm opens the callers' connections, so that handshakes are not part of what
// is measured.
func (c *connectJSON) warm(ctx context.Context, expected string, callers int) error {
	failures := make(chan error, callers)
	for range callers {
		go func() { failures <- c.call(ctx, &record{}, expected) }()
	}
	all := []error{}
	for range callers {
		all = append(all, <-failures)
	}
	return errors.Join(all...)
}

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"antiphon/bench/upstream/tokens"
)

type choice struct {
	Delta, Message struct{ Content string }
	FinishReason   *string `json:"finish_reason"`
}

type reply struct {
	Object  string
	Model   string
	Choices []choice
	Usage   *struct {
		CompletionTokens int `json:"completion_tokens"`
	}
}

func post(t *testing.T, body string) *http.Response {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc((&upstream{seed: 1}).chat))
	t.Cleanup(server.Close)
	answer, err := http.Post(server.URL, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func TestWholeReply(t *testing.T) {
	answer := reply{}
	body := post(t, `{"model":"mock-t70","messages":[{"role":"user","content":"x"}]}`).Body
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if tokens.Full(70) != answer.Choices[0].Message.Content || answer.Usage.CompletionTokens != 70 {
		t.Errorf("got %+v", answer)
	}
}

func TestStream(t *testing.T) {
	start := time.Now()
	body := post(t, `{"model":"mock-t70-r500","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true}}`).Body
	text, finish, used, done := "", "", 0, false
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		if done {
			t.Fatal("a chunk after the end marker")
		}
		if data == "[DONE]" {
			done = true
			continue
		}
		chunk := reply{}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if chunk.Object != "chat.completion.chunk" || chunk.Model != "mock-t70-r500" {
			t.Fatalf("got %+v", chunk)
		}
		if chunk.Usage != nil {
			used = chunk.Usage.CompletionTokens
		}
		for _, one := range chunk.Choices {
			text += one.Delta.Content
			if one.FinishReason != nil {
				finish = *one.FinishReason
			}
		}
	}
	if tokens.Full(70) != text || finish != "stop" || used != 70 || !done {
		t.Errorf("finish %q, usage %d, done %t, text %q", finish, used, done, text)
	}
	// 70 tokens at 500 a second: the last one is due after 138 ms and more.
	if took := time.Since(start); took < 138*time.Millisecond {
		t.Errorf("the stream ran ahead of its pace: %s", took)
	}
}

func TestRefusals(t *testing.T) {
	for body, status := range map[string]int{
		`{`:                                 http.StatusBadRequest,
		`{"model":"other","messages":[{}]}`: http.StatusNotFound,
		`{"model":"mock-t1","messages":[]}`: http.StatusBadRequest,
	} {
		answer := post(t, body)
		text, _ := io.ReadAll(answer.Body)
		if status != answer.StatusCode || !strings.Contains(string(text), `"error"`) {
			t.Errorf("%s: status %d, %s", body, answer.StatusCode, text)
		}
	}
}

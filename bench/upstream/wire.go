package main

import (
	"encoding/json"
	"strconv"

	"antiphon/bench/upstream/tokens"
)

// chatRequest is the part of a chat-completions request that the mock reads.
type chatRequest struct {
	Model         string            `json:"model"`
	Messages      []json.RawMessage `json:"messages"`
	Stream        bool              `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// usage is written by hand into every reply; the details are constant because
// the mock neither caches nor reasons.
func appendUsage(out []byte, promptTokens, completionTokens int) []byte {
	out = append(out, `{"prompt_tokens":`...)
	out = strconv.AppendInt(out, int64(promptTokens), 10)
	out = append(out, `,"completion_tokens":`...)
	out = strconv.AppendInt(out, int64(completionTokens), 10)
	out = append(out, `,"total_tokens":`...)
	out = strconv.AppendInt(out, int64(promptTokens+completionTokens), 10)
	return append(out, `,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},`+
		`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,`+
		`"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`...)
}

// envelope is what every chunk of one stream has in common. Chunks are spliced
// from bytes, not marshalled: the mock shares the machine with the server under
// test, and must take as little of it as it can.
type envelope struct {
	head  []byte // up to and with `"delta":`
	tail  []byte // what follows an ordinary delta
	usage bool   // whether chunks carry `"usage":null`, as they do when usage was asked for
}

func newEnvelope(id, model string, created int64, includeUsage bool) envelope {
	e := envelope{usage: includeUsage}
	e.head = append(e.head, "data: "...)
	e.head = appendIdentity(e.head, id, "chat.completion.chunk", model, created)
	e.head = append(e.head, `,"choices":[{"index":0,"delta":`...)
	e.tail = append(e.tail, `,"logprobs":null,"finish_reason":null}]`...)
	e.tail = e.closing(e.tail)
	return e
}

func (e envelope) closing(out []byte) []byte {
	if e.usage {
		out = append(out, `,"usage":null`...)
	}
	return append(out, "}\n\n"...)
}

func appendIdentity(out []byte, id, object, model string, created int64) []byte {
	out = append(out, `{"id":"`...)
	out = append(out, id...)
	out = append(out, `","object":"`...)
	out = append(out, object...)
	out = append(out, `","created":`...)
	out = strconv.AppendInt(out, created, 10)
	out = append(out, `,"model":"`...)
	out = append(out, model...)
	return append(out, `","service_tier":"default","system_fingerprint":"fp_bench"`...)
}

// opening appends the first chunk of a stream, which names the role.
func (e envelope) opening(out []byte) []byte {
	out = append(out, e.head...)
	out = append(out, `{"role":"assistant","content":"","refusal":null}`...)
	return append(out, e.tail...)
}

// token appends the chunk that carries the i-th token.
func (e envelope) token(out []byte, i int) []byte {
	out = append(out, e.head...)
	out = append(out, `{"content":`...)
	out = append(out, quoted[i%len(quoted)]...)
	out = append(out, '}')
	return append(out, e.tail...)
}

// finish appends what ends a stream: the finish reason, the usage if it was
// asked for (a chunk without choices), and the end marker.
func (e envelope) finish(out []byte, id, model string, created int64, promptTokens, completionTokens int) []byte {
	out = append(out, e.head...)
	out = append(out, `{},"logprobs":null,"finish_reason":"stop"}]`...)
	out = e.closing(out)
	if e.usage {
		out = append(out, "data: "...)
		out = appendIdentity(out, id, "chat.completion.chunk", model, created)
		out = append(out, `,"choices":[],"usage":`...)
		out = appendUsage(out, promptTokens, completionTokens)
		out = append(out, "}\n\n"...)
	}
	return append(out, "data: [DONE]\n\n"...)
}

// whole appends a reply in one piece.
func whole(out []byte, id, model string, created int64, promptTokens, completionTokens int) []byte {
	out = appendIdentity(out, id, "chat.completion", model, created)
	out = append(out, `,"choices":[{"index":0,"message":{"role":"assistant","content":"`...)
	for i := range completionTokens {
		text := quoted[i%len(quoted)]
		out = append(out, text[1:len(text)-1]...)
	}
	out = append(out, `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":`...)
	out = appendUsage(out, promptTokens, completionTokens)
	return append(out, "}\n"...)
}

// quoted holds the cycle of tokens as JSON strings, escaped once at the start.
var quoted = func() [][]byte {
	cycle := make([][]byte, tokens.Cycle)
	for i := range cycle {
		text, err := json.Marshal(tokens.Text(i))
		if err != nil {
			panic(err) // a string always marshals
		}
		cycle[i] = text
	}
	return cycle
}()

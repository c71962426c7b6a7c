// Package tokens is what the mock upstream and the load generator agree on: how
// a model's name chooses a workload, and the exact text that it answers with.
//
// It is shared so that the generator can check every byte that a server
// delivers without being told what to expect.
package tokens

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxTokens bounds a workload, so that a typing error in a model's name cannot
// ask for a stream that outlives the bench.
const maxTokens = 1_000_000

// Workload is what one request asks of the mock upstream.
type Workload struct {
	// Tokens is how many tokens the completion has.
	Tokens int
	// Rate is the pace of a stream in tokens a second; 0 means as fast as the
	// socket takes them. A reply in one piece ignores it.
	Rate float64
	// Delay is the wait before the first byte of the reply.
	Delay time.Duration
}

// Parse reads a workload from a model's name, such as "mock-t100-r50" (100
// tokens at 50 a second) or "mock-t20-r0-d5" (20 tokens, unpaced, after 5 ms).
// A provider's prefix ("bench/") is allowed and ignored.
func Parse(model string) (Workload, error) {
	name := model[strings.LastIndexByte(model, '/')+1:]
	fields := strings.Split(name, "-")
	if fields[0] != "mock" || len(fields) < 2 {
		return Workload{}, fmt.Errorf("model %q is not of the form mock-t<tokens>[-r<tokens a second>][-d<delay in ms>]", model)
	}
	work := Workload{}
	for _, field := range fields[1:] {
		if len(field) < 2 {
			return Workload{}, fmt.Errorf("model %q: empty field %q", model, field)
		}
		value, err := strconv.ParseFloat(field[1:], 64)
		if err != nil || value < 0 {
			return Workload{}, fmt.Errorf("model %q: %q is not a number of zero or more", model, field[1:])
		}
		switch field[0] {
		case 't':
			work.Tokens = int(value)
		case 'r':
			work.Rate = value
		case 'd':
			work.Delay = time.Duration(value * float64(time.Millisecond))
		default:
			return Workload{}, fmt.Errorf("model %q: unknown field %q", model, field)
		}
	}
	if work.Tokens < 1 || work.Tokens > maxTokens {
		return Workload{}, fmt.Errorf("model %q: the number of tokens must be in 1..%d", model, maxTokens)
	}
	return work, nil
}

// vocabulary has the lengths of a common tokenizer's output (4 to 5 bytes on
// average, the space leading), one quotation mark and one line break that JSON
// must escape, and letters of two and three bytes that UTF-8 must not split.
var vocabulary = []string{
	" the", " model", " answers", ",", " and", " each", " token", " is", " sent", " on",
	" its", " own", ".", " \"Stream", "ing\"", " means", " that", " no", "body", " waits",
	":", " caf", "é", " naïve", " 東京", ".\n", " So", " it", " goes", " again",
	" and",
}

// Cycle is after how many tokens the text repeats.
var Cycle = len(vocabulary)

// Text returns the i-th token of every completion. The vocabulary's length is
// prime, and neighbours differ: a token that is lost, doubled or swapped with
// its neighbour changes the text.
func Text(i int) string {
	return vocabulary[i%len(vocabulary)]
}

// Full returns the whole text of a completion of n tokens.
func Full(n int) string {
	text := strings.Builder{}
	for i := range n {
		text.WriteString(Text(i))
	}
	return text.String()
}

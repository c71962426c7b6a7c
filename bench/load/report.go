package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// percentiles of a sample, in milliseconds; exact, as every value is kept.
type percentiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func summarise(sample []time.Duration) percentiles {
	if len(sample) == 0 {
		return percentiles{}
	}
	slices.Sort(sample)
	at := func(share float64) float64 {
		return float64(sample[int(share*float64(len(sample)-1)+0.5)].Microseconds()) / 1e3
	}
	return percentiles{Count: len(sample), P50: at(0.50), P90: at(0.90), P99: at(0.99), Max: at(1)}
}

// cpu is the CPU time of one process tree during a run.
type cpu struct {
	Seconds float64 `json:"s"`
	User    float64 `json:"user_s"`
	System  float64 `json:"system_s"`
}

func seconds(u usage) cpu {
	return cpu{Seconds: u.Total.Seconds(), User: u.User.Seconds(), System: u.System.Seconds()}
}

// seen is what the mock upstream counted.
type seen struct {
	Connections int64 `json:"connections"`
	Whole       int64 `json:"whole"`
	Streams     int64 `json:"streams"`
	BrokenOff   int64 `json:"broken_off"`
	Tokens      int64 `json:"tokens"`
	Spans       int64 `json:"spans"`
}

func (s seen) minus(before seen) seen {
	return seen{
		Connections: s.Connections - before.Connections,
		Whole:       s.Whole - before.Whole,
		Streams:     s.Streams - before.Streams,
		BrokenOff:   s.BrokenOff - before.BrokenOff,
		Tokens:      s.Tokens - before.Tokens,
		Spans:       s.Spans - before.Spans,
	}
}

// ask reads the mock upstream's counters.
func ask(upstream string) (seen, error) {
	if upstream == "" {
		return seen{}, nil
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get("http://" + upstream + "/bench/seen")
	if err != nil {
		return seen{}, err
	}
	defer func() { _ = reply.Body.Close() }()
	counts := seen{}
	if err := json.NewDecoder(reply.Body).Decode(&counts); err != nil {
		return seen{}, fmt.Errorf("the upstream's counters: %w", err)
	}
	return counts, nil
}

// result is what the generator prints, as one JSON object.
type result struct {
	Model       string      `json:"model"`
	Method      string      `json:"method"`
	Concurrency int         `json:"concurrency"`
	Connections int         `json:"connections"`
	Calls       int         `json:"calls"`
	Completed   int         `json:"completed"`
	Wall        float64     `json:"wall_s"`
	Tokens      int         `json:"tokens"`
	Messages    int         `json:"messages"`
	Deliveries  int         `json:"deliveries"`
	Bytes       int         `json:"message_bytes"`
	TextBytes   int         `json:"text_bytes"`
	PerCall     float64     `json:"server_cpu_us_per_call"`
	PerToken    float64     `json:"server_cpu_us_per_token"`
	Server      cpu         `json:"server_cpu"`
	Upstream    cpu         `json:"upstream_cpu"`
	Generator   cpu         `json:"generator_cpu"`
	Latency     percentiles `json:"latency_ms"`
	First       percentiles `json:"first_ms"`
	Gap         percentiles `json:"gap_ms"`
	Seen        seen        `json:"upstream_seen"`
	Failures    []string    `json:"failures"`
}

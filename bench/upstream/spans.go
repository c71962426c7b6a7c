package main

import (
	"encoding/binary"
	"io"
	"net/http"
)

// exportPath is where a server's spans come: OTLP over gRPC, in the clear.
const exportPath = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// spanPath is the way through an export to its spans: resource_spans,
// scope_spans, spans.
var spanPath = []uint64{1, 2, 2}

// takeSpans counts what a collector would store and answers with gRPC's empty
// message, so that a server under test does all of an export's work.
func (u *upstream) takeSpans(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	status := "0"
	// A gRPC message: a byte for compression, four for its length.
	if err != nil || len(body) < 5 || body[0] != 0 {
		status = "3"
	} else {
		u.seen.Exports.Add(1)
		u.seen.Spans.Add(count(body[5:], spanPath))
		_, _ = w.Write(make([]byte, 5))
	}
	w.Header().Set("Grpc-Status", status)
}

// count walks a protobuf message and counts the submessages at the end of a path.
func count(data []byte, path []uint64) int64 {
	if len(path) == 0 {
		return 1
	}
	found := int64(0)
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		if n <= 0 {
			return found
		}
		data = data[n:]
		size := uint64(0)
		switch tag & 7 {
		case 0:
			if _, n = binary.Uvarint(data); n <= 0 {
				return found
			}
			size = uint64(n)
		case 1:
			size = 8
		case 2:
			length, n := binary.Uvarint(data)
			if n <= 0 || length > uint64(len(data)-n) {
				return found
			}
			data = data[n:]
			size = length
			if tag>>3 == path[0] {
				found += count(data[:length], path[1:])
			}
		case 5:
			size = 4
		default:
			return found
		}
		if size > uint64(len(data)) {
			return found
		}
		data = data[size:]
	}
	return found
}

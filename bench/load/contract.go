package main

import (
	"errors"
	"fmt"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The names below are all that the generator knows of the contract; numbers
// come from the descriptors, so the bench needs no generated code of its own.
const (
	service      = "antiphon.api.completion.v1.CompletionService"
	unaryMethod  = "Complete"
	streamMethod = "StreamComplete"
)

var (
	modelPath      = []protoreflect.Name{"spec", "model"}
	unaryTextPath  = []protoreflect.Name{"completion", "message", "parts", "text"}
	streamTextPath = []protoreflect.Name{"event", "part_delta", "text"}
)

// rpc is one method of the contract, ready to be called with raw bytes.
type rpc struct {
	path      string
	streaming bool
	request   []byte
	json      []byte // the request as the Connect protocol has it in JSON
	text      fieldPath
}

// fieldPath leads through nested messages to a string or bytes field.
type fieldPath []protowire.Number

// loadRPC reads the descriptors of a protoset (what `buf build` writes) and
// encodes the request given as JSON, with its model set.
func loadRPC(protoset, requestFile, model string, streaming bool) (rpc, error) {
	files, err := loadFiles(protoset)
	if err != nil {
		return rpc{}, err
	}
	found, err := files.FindDescriptorByName(service)
	if err != nil {
		return rpc{}, fmt.Errorf("the protoset has no service %s: %w", service, err)
	}
	method, textPath := protoreflect.Name(unaryMethod), unaryTextPath
	if streaming {
		method, textPath = streamMethod, streamTextPath
	}
	descriptor := found.(protoreflect.ServiceDescriptor).Methods().ByName(method)
	if descriptor == nil {
		return rpc{}, fmt.Errorf("%s has no method %s", service, method)
	}
	text, err := resolve(descriptor.Output(), textPath)
	if err != nil {
		return rpc{}, err
	}
	message, err := readRequest(descriptor.Input(), requestFile, model)
	if err != nil {
		return rpc{}, err
	}
	request, err := proto.Marshal(message)
	if err != nil {
		return rpc{}, err
	}
	asJSON, err := protojson.Marshal(message)
	if err != nil {
		return rpc{}, err
	}
	return rpc{
		path:      fmt.Sprintf("/%s/%s", service, method),
		streaming: streaming,
		request:   request,
		json:      asJSON,
		text:      text,
	}, nil
}

func loadFiles(protoset string) (*protoregistry.Files, error) {
	data, err := os.ReadFile(protoset)
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		return nil, fmt.Errorf("%s is not a set of file descriptors: %w", protoset, err)
	}
	return protodesc.NewFiles(set)
}

func readRequest(input protoreflect.MessageDescriptor, requestFile, model string) (proto.Message, error) {
	data, err := os.ReadFile(requestFile)
	if err != nil {
		return nil, err
	}
	message := dynamicpb.NewMessage(input)
	if err := protojson.Unmarshal(data, message); err != nil {
		return nil, fmt.Errorf("%s is not a %s: %w", requestFile, input.FullName(), err)
	}
	holder := protoreflect.Message(message)
	for _, name := range modelPath[:len(modelPath)-1] {
		field := holder.Descriptor().Fields().ByName(name)
		if field == nil {
			return nil, fmt.Errorf("%s has no field %s", holder.Descriptor().FullName(), name)
		}
		holder = holder.Mutable(field).Message()
	}
	last := holder.Descriptor().Fields().ByName(modelPath[len(modelPath)-1])
	if last == nil || last.Kind() != protoreflect.StringKind {
		return nil, fmt.Errorf("%s has no string that names the model", holder.Descriptor().FullName())
	}
	holder.Set(last, protoreflect.ValueOfString(model))
	return message, nil
}

func resolve(message protoreflect.MessageDescriptor, names []protoreflect.Name) (fieldPath, error) {
	path := fieldPath{}
	for i, name := range names {
		field := message.Fields().ByName(name)
		if field == nil {
			return nil, fmt.Errorf("%s has no field %s", message.FullName(), name)
		}
		path = append(path, field.Number())
		if i == len(names)-1 {
			if field.Kind() != protoreflect.StringKind {
				return nil, fmt.Errorf("%s is not a string", field.FullName())
			}
			break
		}
		if message = field.Message(); message == nil {
			return nil, fmt.Errorf("%s is not a message", field.FullName())
		}
	}
	return path, nil
}

var errMalformed = errors.New("the server sent bytes that are not a message")

// visit calls see with every value at the end of the path, in order.
func (p fieldPath) visit(data []byte, see func([]byte)) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return errMalformed
		}
		data = data[n:]
		if number != p[0] || kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
				return errMalformed
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return errMalformed
		}
		data = data[n:]
		if len(p) == 1 {
			see(value)
		} else if err := p[1:].visit(value, see); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	_ "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1" // registers the files
)

const gen = "github.com/openai-connect/openai-connect/gen"

// files returns the project's .proto files and their imports, each after its
// imports, like protoc.
func files() []*descriptorpb.FileDescriptorProto {
	var all []*descriptorpb.FileDescriptorProto
	done := make(map[string]bool)
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if done[file.Path()] {
			return
		}
		done[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		all = append(all, protodesc.ToFileDescriptorProto(file))
	}
	own := make(map[string]protoreflect.FileDescriptor)
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if isOwn(file.Path()) {
			own[file.Path()] = file
		}
		return true
	})
	for _, path := range slices.Sorted(maps.Keys(own)) {
		add(own[path])
	}
	return all
}

func isOwn(path string) bool { return strings.HasPrefix(path, "openaiconnect/") }

// generated runs the plugin on files and returns its output by file name.
func generated(files []*descriptorpb.FileDescriptorProto, isAsked func(path string) bool) (map[string]string, error) {
	request := &pluginpb.CodeGeneratorRequest{Parameter: new("module=" + gen), ProtoFile: files}
	for _, file := range files {
		if isAsked(file.GetName()) {
			request.FileToGenerate = append(request.FileToGenerate, file.GetName())
		}
	}
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return nil, err
	}
	if err := run(plugin); err != nil {
		return nil, err
	}
	written := make(map[string]string)
	response := plugin.Response()
	for _, file := range response.GetFile() {
		written[file.GetName()] = file.GetContent()
	}
	if response.Error != nil {
		return nil, fmt.Errorf("%s", response.GetError())
	}
	return written, nil
}

// parse returns a .proto file from Protobuf's text format. It adds numbers and other
// properties that can be derived.
func parse(t *testing.T, path, text string) *descriptorpb.FileDescriptorProto {
	t.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(text), file); err != nil {
		t.Fatal(err)
	}
	file.Name = new(path)
	file.Syntax = new("proto3")
	file.Dependency = append(file.Dependency, annotations)
	complete(file.GetMessageType())
	for _, enum := range file.GetEnumType() {
		number(enum)
	}
	return file
}

func complete(messages []*descriptorpb.DescriptorProto) {
	for _, message := range messages {
		complete(message.GetNestedType())
		for _, enum := range message.GetEnumType() {
			number(enum)
		}
		for i, field := range message.GetField() {
			if field.Number == nil {
				field.Number = new(int32(i + 1))
			}
			if field.Label == nil {
				field.Label = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
			}
			if field.GetProto3Optional() {
				field.OneofIndex = new(int32(len(message.GetOneofDecl())))
				message.OneofDecl = append(message.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("_" + field.GetName())})
			}
		}
	}
}

func number(enum *descriptorpb.EnumDescriptorProto) {
	for i, value := range enum.GetValue() {
		if value.Number == nil {
			value.Number = new(int32(i))
		}
	}
}

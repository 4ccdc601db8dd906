package conformance_test

import (
	_ "embed"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/anypb" // the files below import it
)

const descriptorSetPath = "testdata/conformance.binpb"

// descriptorSet is package connectrpc.conformance.v1 without its imports; see
// testdata/README.md.
//
//go:embed testdata/conformance.binpb
var descriptorSet []byte

// registerDescriptors adds package connectrpc.conformance.v1 to the global registries,
// as generated code would. The JSON codec resolves google.protobuf.Any there, and server
// reflection finds the files there.
func registerDescriptors() error {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(descriptorSet, &set); err != nil {
		return fmt.Errorf("read %s: %w", descriptorSetPath, err)
	}
	for _, unlinked := range set.GetFile() {
		file, err := protodesc.NewFile(unlinked, protoregistry.GlobalFiles)
		if err != nil {
			return fmt.Errorf("link %s: %w", unlinked.GetName(), err)
		}
		if err := registerFile(file); err != nil {
			return fmt.Errorf("register %s: %w", file.Path(), err)
		}
	}
	return nil
}

func registerFile(file protoreflect.FileDescriptor) error {
	if err := protoregistry.GlobalFiles.RegisterFile(file); err != nil {
		return err
	}
	return registerMessages(file.Messages())
}

func registerMessages(messages protoreflect.MessageDescriptors) error {
	for i := range messages.Len() {
		descriptor := messages.Get(i)
		if err := protoregistry.GlobalTypes.RegisterMessage(dynamicpb.NewMessageType(descriptor)); err != nil {
			return err
		}
		if err := registerMessages(descriptor.Messages()); err != nil {
			return err
		}
	}
	return nil
}

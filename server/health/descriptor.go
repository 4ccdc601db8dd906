package health

import (
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// descriptor describes grpc/health/v1/health.proto. The generated Go code is part of
// grpc-go, which this server does not otherwise depend on. Registering a second copy would
// make programs that link both panic, so this package uses dynamic messages.
var descriptor = loadDescriptor()

const protoPath = "grpc/health/v1/health.proto"

// loadDescriptor returns the registered descriptor if the program links grpc-go's package,
// and otherwise builds one from descriptorText.
func loadDescriptor() protoreflect.FileDescriptor {
	if registered, err := protoregistry.GlobalFiles.FindFileByPath(protoPath); err == nil {
		return registered
	}
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(descriptorText), file); err != nil {
		panic("grpc.health.v1: " + err.Error())
	}
	built, err := protodesc.NewFile(file, nil)
	if err != nil {
		panic("grpc.health.v1: " + err.Error())
	}
	return built
}

// descriptorText is a FileDescriptorProto in text format.
const descriptorText = `
name: "` + protoPath + `"
package: "grpc.health.v1"
syntax: "proto3"
message_type {
  name: "HealthCheckRequest"
  field { name: "service" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "service" }
}
message_type {
  name: "HealthCheckResponse"
  field {
    name: "status" number: 1 type: TYPE_ENUM label: LABEL_OPTIONAL json_name: "status"
    type_name: ".grpc.health.v1.HealthCheckResponse.ServingStatus"
  }
  enum_type {
    name: "ServingStatus"
    value { name: "UNKNOWN" number: 0 }
    value { name: "SERVING" number: 1 }
    value { name: "NOT_SERVING" number: 2 }
    value { name: "SERVICE_UNKNOWN" number: 3 }
  }
}
service {
  name: "Health"
  method {
    name: "Check"
    input_type: ".grpc.health.v1.HealthCheckRequest"
    output_type: ".grpc.health.v1.HealthCheckResponse"
  }
  method {
    name: "Watch"
    input_type: ".grpc.health.v1.HealthCheckRequest"
    output_type: ".grpc.health.v1.HealthCheckResponse"
    server_streaming: true
  }
}
`

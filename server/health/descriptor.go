package health

import (
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// file is the descriptor of grpc.health.v1. The generated Go code belongs to grpc-go,
// which this server does not need otherwise. A second copy of it would make programs that
// link both panic, so the messages are dynamic.
var file = newFile()

const path = "grpc/health/v1/health.proto"

func newFile() protoreflect.FileDescriptor {
	if registered, err := protoregistry.GlobalFiles.FindFileByPath(path); err == nil {
		return registered
	}
	description := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(source), description); err != nil {
		panic("grpc.health.v1: " + err.Error())
	}
	built, err := protodesc.NewFile(description, nil)
	if err != nil {
		panic("grpc.health.v1: " + err.Error())
	}
	return built
}

const source = `
name: "` + path + `"
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

// Package health serves the gRPC health checking protocol, grpc.health.v1, which load
// balancers and Kubernetes use to decide whether to send requests to a server:
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
//
// It can be replaced by connectrpc.com/grpchealth when that supports connect/v2.
package health

import (
	"context"
	"slices"
	"sync"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Values of HealthCheckResponse.ServingStatus.
const (
	serving        protoreflect.EnumNumber = 1
	notServing     protoreflect.EnumNumber = 2
	serviceUnknown protoreflect.EnumNumber = 3
)

// Checker holds the health of a server, which is shared by all its services. It is
// serving at first.
type Checker struct {
	services []string

	mu      sync.Mutex
	stopped bool          // guarded by mu
	changed chan struct{} // closed by Stop
}

// Register adds the protocol to a server. It covers the services that are registered so
// far, and the server as a whole under the empty name.
func Register(server *connect.Server) *Checker {
	c := &Checker{services: []string{""}, changed: make(chan struct{})}
	for spec := range server.Specs() {
		if method, ok := spec.Schema.(protoreflect.MethodDescriptor); ok {
			c.services = append(c.services, string(method.Parent().FullName()))
		}
	}
	methods := descriptor.Services().ByName("Health").Methods()
	server.Register(
		connect.Method{Spec: newSpec(methods.ByName("Check"), connect.StreamTypeUnary), Handler: c.check},
		connect.Method{Spec: newSpec(methods.ByName("Watch"), connect.StreamTypeServer), Handler: c.watch},
	)
	return c
}

func newSpec(method protoreflect.MethodDescriptor, streamType connect.StreamType) connect.Spec {
	return connect.Spec{
		Procedure:  "/" + string(method.Parent().FullName()) + "/" + string(method.Name()),
		Schema:     method,
		StreamType: streamType,
	}
}

// Stop makes all services report that they are not serving.
func (c *Checker) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.stopped = true
		close(c.changed)
	}
}

// Stopped reports whether Stop has been called.
func (c *Checker) Stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

func (c *Checker) status() protoreflect.EnumNumber {
	if c.Stopped() {
		return notServing
	}
	return serving
}

// check returns the status of a service.
func (c *Checker) check(_ context.Context, _ connect.Spec, stream connect.ServerStream) error {
	service, err := receive(stream)
	if err != nil {
		return err
	}
	if !slices.Contains(c.services, service) {
		return connect.Errorf(connect.CodeNotFound, "unknown service %.64q", service)
	}
	return stream.Send(response(c.status()))
}

// watch sends the status of a service, and again when it changes. An unknown service is
// not an error here, because the protocol expects that it may be added. Stop ends the
// watch, because the status does not change afterwards.
func (c *Checker) watch(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
	service, err := receive(stream)
	if err != nil {
		return err
	}
	status := serviceUnknown
	if slices.Contains(c.services, service) {
		status = c.status()
	}
	if err := stream.Send(response(status)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.changed:
	}
	if status == serving {
		return stream.Send(response(notServing))
	}
	return nil
}

func receive(stream connect.ServerStream) (service string, err error) {
	request := dynamicpb.NewMessage(descriptor.Messages().ByName("HealthCheckRequest"))
	if err := stream.Receive(request); err != nil {
		return "", err
	}
	return request.Get(request.Descriptor().Fields().ByName("service")).String(), nil
}

func response(status protoreflect.EnumNumber) proto.Message {
	response := dynamicpb.NewMessage(descriptor.Messages().ByName("HealthCheckResponse"))
	response.Set(response.Descriptor().Fields().ByName("status"), protoreflect.ValueOfEnum(status))
	return response
}

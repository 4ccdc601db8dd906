// Package server is a front door to the OpenAI API. It serves the typed API, Protobuf
// services over Connect, gRPC and gRPC-Web, and forwards every other path unchanged.
// Both use the same upstream. At /playground/ it serves a page to try the API.
//
// [New] composes a server from the packages below this one. The composition is a
// pipeline of three chains, each listed from the outside in.
//
// [Server.Serve] puts these layers around the server (package httpserver):
//
//	advertise-close    announces the end of a connection to its client
//	coalesce-writes    combines small writes to HTTP/2 connections
//	client-timeouts    ends requests of clients that stop sending or reading
//	strict-framing     guards against ambiguous request lengths
//	http10-truncation  resets the connections of truncated HTTP/1.0 responses
//
// These layers handle a request, in front of the router (handlerLayers in pipeline.go):
//
//	request-record     creates the record of the request and decides its kind
//	client-address     finds the client's address behind trusted proxies
//	telemetry          observes the request: metrics, traces, access log
//	grpc-web-text      decodes base64 gRPC-Web requests and encodes their responses
//	allowed-hosts      rejects other host names, if anonymous use is allowed
//	cors               decides which web pages may read responses
//	target-limit       rejects long request targets
//	auth               authenticates the client and removes its credentials
//	overload           limits the number of concurrent requests
//
// The router sends RPCs to the transcoder, /playground/ to its page, and everything
// else to the passthrough. Both send requests through these layers to the upstream
// (senderLayers in pipeline.go):
//
//	usage              meters requests without a known client, for telemetry
//	policy             applies the client's rules and rate limits, and meters its requests
//	telemetry          observes requests to the upstream: traces and content
//
// Innermost is the upstream or, with failover, the choice among several. README.md has
// a map of the packages and the path of one request.
package server

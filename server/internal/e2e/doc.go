// Package e2e is the parent of the end-to-end tests. They run a whole server on
// a real socket, between real clients and a scripted upstream. Each
// directory holds one subject:
//
//   - auth: client keys, the clients file, upstream keys, and leaks of either
//   - browser: CORS, DNS rebinding, the playground
//   - errors: failures of the upstream and of the client, in every protocol
//   - headers: metadata and headers, in both directions
//   - lifecycle: health, readiness, drain, shutdown
//   - load: floods, slow clients, memory, overload; also the benchmarks
//   - policy: model rules, rate limits, token usage
//   - protocols: the same call in every protocol, reflection, gRPC-Web text
//   - smuggling: request framing, desync, request targets
//   - streams: timing, flushing, cancellation, faults in streams
//   - upstream: partly compatible upstreams, failover, redirects
//   - websocket: forwarding, model rules in messages, shutdown
//
// Package e2etest contains the shared helpers.
package e2e

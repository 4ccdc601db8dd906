// Package fidelity holds round-trip and differential tests of the generated codec:
// nothing is lost or added between a Protobuf message and OpenAI's JSON.
//
// The tests share no code with the codec. They read OpenAI's specification and, with
// reflection, the options of the .proto files. The environment variable
// OPENAI_CHAT_SPEC is the path of the specification. Most tests are skipped without
// it.
//
// The instances are generated and the same in each run. To run a campaign of others:
//
//	OPENAI_CONNECT_SEED=7 OPENAI_CONNECT_INSTANCES=100000 go test -timeout 0 \
//		-run 'TestRoundTrip|TestUnknown_Survives' ./server/fidelity
//
// A failure prints the command that reproduces it.
package fidelity

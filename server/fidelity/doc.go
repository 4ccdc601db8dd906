// Package fidelity holds the tests that prove the first promise of the product:
// nothing is lost and nothing is invented between a Protobuf message and
// OpenAI's JSON.
//
// The judges share nothing with the generated codec: they read OpenAI's
// specification and, by reflection, the options of the .proto files. The
// specification is found by the environment variable OPENAI_CHAT_SPEC, its
// path. Without it, most tests are skipped.
//
// Instances are generated, the same ones each time. A campaign of others is run
// by
//
//	OPENAI_CONNECT_SEED=7 OPENAI_CONNECT_INSTANCES=100000 go test -timeout 0 \
//		-run 'TestRoundTrip|TestTheUnknownSurvives' ./server/fidelity
//
// and says how to run the one that failed again.
package fidelity

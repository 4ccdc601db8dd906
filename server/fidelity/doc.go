// Package fidelity holds the tests that prove the first promise of the product:
// nothing is lost and nothing is invented between a Protobuf message and
// OpenAI's JSON.
//
// The judges share nothing with the generated codec: they read OpenAI's
// specification and, by reflection, the options of the .proto files.
package fidelity

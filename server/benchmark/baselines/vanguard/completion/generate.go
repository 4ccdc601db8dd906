// Package completion is the API of the vanguard baseline.
package completion

//go:generate ../../../../../bin/buf generate --template {"version":"v2","plugins":[{"local":["go","-C","../../../../..","tool","protoc-gen-go"],"out":".","opt":"paths=source_relative"}]} .

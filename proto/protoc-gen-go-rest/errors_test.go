package main

import (
	"fmt"
	"strings"
	"testing"
)

const (
	extra = ` field { name: "extra_json" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { format: FORMAT_REMAINDER } } } `
	// text is a plain member; other is a message for references.
	text  = ` field { name: "text" type: TYPE_STRING } `
	other = ` message_type { name: "Other" field { name: "a" type: TYPE_STRING } ` + extra + `} `
	color = ` enum_type { name: "Color" value { name: "COLOR_UNSPECIFIED" } value { name: "COLOR_RED" } } `
)

// a returns a message with the fields and an extra_json.
func a(fields string) string { return `message_type { name: "M" ` + fields + extra + `}` }

// rpc returns a service with one method and the message that it takes and returns.
func rpc(method, fields string) string {
	return a(fields) + `service { name: "S" method { name: "Do" input_type: ".x.v1.M" output_type: ".x.v1.M" ` + method + `} }`
}

// mapped returns the options of a method with an operation.
func mapped(options string) string {
	return `options { [openaiconnect.rest.v1.operation] { ` + options + ` } }`
}

// events returns a streaming method with an event_stream.
func events(finish string) string {
	return mapped(`post: "/a" body: "*" event_stream { finish { `+finish+` } }`) + ` server_streaming: true`
}

// withUnaryVariant returns a service with a stream and a unary method for the same
// response.
func withUnaryVariant(option string) string {
	const answer = ` field { name: "answer" type: TYPE_MESSAGE type_name: ".x.v1.Answer" } field { name: "calls" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.Call" } `
	const types = `input_type: ".x.v1.M" output_type: ".x.v1.M" `
	finish := `finish { list: "list" key: "key" member: "done" count: "count" }`
	return a(finishable) + color + `message_type { name: "Item" field { name: "key" type: TYPE_INT32 }
		field { name: "done" type: TYPE_ENUM type_name: ".x.v1.Color" } ` + answer + extra + `}
		message_type { name: "Answer" ` + text + answer + extra + `}
		message_type { name: "Call" field { name: "index" type: TYPE_INT32 } ` + extra + `} ` + other +
		`service { name: "S" method { name: "Do" ` + types + mapped(`post: "/a" body: "*"`) + `}
		method { name: "Other" input_type: ".x.v1.Other" output_type: ".x.v1.M" ` + mapped(`post: "/a" body: "*"`) + `}
		method { name: "Stream" server_streaming: true ` + types + mapped(`post: "/a" body: "*" event_stream { `+finish+` unary_variant { `+option+` } }`) + `} }`
}

const finishable = ` field { name: "list" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.Item" }
	field { name: "count" type: TYPE_INT32 proto3_optional: true } `

// item is the message of the items of finishable.
const item = `message_type { name: "Item"
	field { name: "key" type: TYPE_INT32 }
	field { name: "done" type: TYPE_ENUM type_name: ".x.v1.Color" } ` + extra + `}` + color

// TestPlugin_RejectsInvalidOptions checks the error for every invalid use of the
// options.
func TestPlugin_RejectsInvalidOptions(t *testing.T) {
	t.Parallel()
	oneof := func(field, options string) string {
		return ` oneof_decl { name: "u" ` + options + `} field { name: "f" oneof_index: 0 ` + field + `} `
	}
	const tagged = `options { [openaiconnect.rest.v1.union] { tag: "type" } }`
	const inline = `options { [openaiconnect.rest.v1.union] { tag: "type" inline: true } }`
	for _, row := range []struct{ name, file, want string }{
		{"no extra_json", `message_type { name: "M" ` + text + `}`, "x.v1.M: requires a field string extra_json with FORMAT_REMAINDER"},
		{"no extra_json, in a nested message", `message_type { name: "M" nested_type { name: "N" ` + text + `} ` + extra + `}`, "x.v1.M.N: requires a field string extra_json with FORMAT_REMAINDER"},
		{"an extra_json of another type", `message_type { name: "M" field { name: "extra_json" type: TYPE_BYTES options { [openaiconnect.rest.v1.member] { format: FORMAT_REMAINDER } } } }`, "x.v1.M: extra_json: FORMAT_REMAINDER requires a field string extra_json"},
		{"an extra_json of another name", `message_type { name: "M" field { name: "rest" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { format: FORMAT_REMAINDER } } } }`, "x.v1.M: rest: FORMAT_REMAINDER requires a field string extra_json"},
		{"an optional extra_json", `message_type { name: "M" field { name: "extra_json" type: TYPE_STRING proto3_optional: true options { [openaiconnect.rest.v1.member] { format: FORMAT_REMAINDER } } } }`, "x.v1.M: extra_json: FORMAT_REMAINDER requires a field string extra_json"},
		{"a kind without a rule", a(`field { name: "f" type: TYPE_FLOAT }`), "x.v1.M: f: unsupported type float"},
		{"an unsigned integer", a(`field { name: "f" type: TYPE_UINT64 label: LABEL_REPEATED }`), "x.v1.M: f: unsupported type uint64"},
		{"a map of a kind without a rule", a(`nested_type { name: "FEntry" options { map_entry: true } field { name: "key" type: TYPE_STRING } field { name: "value" type: TYPE_FIXED32 } } field { name: "f" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.M.FEntry" }`), "x.v1.M: f: unsupported type fixed32"},
		{"a map with keys that are no strings", a(`nested_type { name: "FEntry" options { map_entry: true } field { name: "key" type: TYPE_INT32 } field { name: "value" type: TYPE_STRING } } field { name: "f" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.M.FEntry" }`), "x.v1.M: f: the keys of a map must be strings"},
		{"an optional enum", a(`field { name: "f" type: TYPE_ENUM type_name: ".x.v1.Color" proto3_optional: true }`) + color, "x.v1.M: f: an enum cannot be optional: 0 means not set"},
		{"a byte array that is not bytes", a(`field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { format: FORMAT_BYTE_ARRAY } } }`), "x.v1.M: f: FORMAT_BYTE_ARRAY requires bytes"},
		{"JSON that is not a string", a(`field { name: "f" type: TYPE_BYTES options { [openaiconnect.rest.v1.member] { format: FORMAT_JSON_OBJECT } } }`), "x.v1.M: f: FORMAT_JSON_OBJECT requires a string"},
		{"too many members", a(many(129)), "x.v1.M: has 129 members; restjson.MaxMembers is 128"},
		{"two fields of one member", a(text + `field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { name: "text" } } }`), `x.v1.M: f: text also maps to the member "text": one of two forms must be a list`},
		{"three forms of one member", a(text + `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" } } } field { name: "g" type: TYPE_BOOL label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" } } }`), `x.v1.M: g: text also maps to the member "text": one of two forms must be a list`},
		{"a constant that is a field too", a(`options { [openaiconnect.rest.v1.object] { constants { name: "text" json: "1" } } }` + text), `x.v1.M: text: the message has two members "text"`},
		{"a constant twice", a(`options { [openaiconnect.rest.v1.object] { constants { name: "c" json: "1" } constants { name: "c" json: "2" } } }`), `x.v1.M: the message has two members "c"`},
		{"a constant with invalid JSON", a(`options { [openaiconnect.rest.v1.object] { constants { name: "c" json: "explicit" } } }`), `x.v1.M: the constant "c" requires a name and a JSON value, not "explicit"`},
		{"a constant without a name", a(`options { [openaiconnect.rest.v1.object] { constants { json: "1" } } }`), `x.v1.M: the constant "" requires a name and a JSON value, not "1"`},
		{"a list of one that is not a list", a(`field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { single: true } } }`), "x.v1.M: f: single requires a list"},
		{"a message without a codec", a(`field { name: "f" type: TYPE_MESSAGE type_name: ".google.protobuf.FieldOptions" }`), "x.v1.M.f: google.protobuf.FieldOptions has no codec: it must import openaiconnect/rest/v1/annotations.proto, have fields, and be neither a query nor an inline payload"},
		{"a message without fields", a(`field { name: "f" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.Empty" }`) + `message_type { name: "Empty" }`, "x.v1.M.f: x.v1.Empty has no codec: it must import"},
		{"a map of messages without a codec", a(`nested_type { name: "FEntry" options { map_entry: true } field { name: "key" type: TYPE_STRING } field { name: "value" type: TYPE_MESSAGE type_name: ".x.v1.Empty" } } field { name: "f" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.M.FEntry" }`) + `message_type { name: "Empty" }`, "x.v1.M.f: x.v1.Empty has no codec: it must import"},
		{"an array with two fields", `message_type { name: "M" options { [openaiconnect.rest.v1.object] { array: true } } field { name: "a" type: TYPE_STRING label: LABEL_REPEATED } field { name: "b" type: TYPE_STRING } }`, "x.v1.M: array requires a message with exactly one field, a list"},
		{"an array of no list", `message_type { name: "M" options { [openaiconnect.rest.v1.object] { array: true } } ` + text + `}`, "x.v1.M: array requires a message with exactly one field, a list"},
		{"an array of a kind without a rule", `message_type { name: "M" options { [openaiconnect.rest.v1.object] { array: true } } field { name: "a" type: TYPE_FLOAT label: LABEL_REPEATED } }`, "x.v1.M: unsupported type float"},
		{"enum values of one spelling", a(`field { name: "f" type: TYPE_ENUM type_name: ".x.v1.Color" }`) + `enum_type { name: "Color" value { name: "COLOR_UNSPECIFIED" } value { name: "COLOR_RED" } value { name: "COLOR_ROT" options { [openaiconnect.rest.v1.value]: "red" } } }`, `x.v1.Color: Color_COLOR_RED and Color_COLOR_ROT both map to "red"`},
		{"enum values of one number", a(`field { name: "f" type: TYPE_ENUM type_name: ".x.v1.Color" }`) + `enum_type { name: "Color" options { allow_alias: true } value { name: "COLOR_UNSPECIFIED" } value { name: "COLOR_RED" } value { name: "COLOR_ROT" number: 1 } }`, "x.v1.Color: two values have the same number"},

		{"a bare field outside a oneof", a(`field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { bare: true } } }`), "x.v1.M: f: bare requires a branch of a oneof that is not a message, and only one branch can be bare"},
		{"a bare message", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.Other" options { [openaiconnect.rest.v1.member] { bare: true } }`, tagged)) + other, "x.v1.M: f: bare requires a branch of a oneof that is not a message, and only one branch can be bare"},
		{"two bare branches", a(oneof(`type: TYPE_STRING options { [openaiconnect.rest.v1.member] { bare: true } }`, tagged) + `field { name: "g" type: TYPE_BOOL oneof_index: 0 options { [openaiconnect.rest.v1.member] { bare: true } } }`), "x.v1.M: g: bare requires a branch of a oneof that is not a message, and only one branch can be bare"},
		{"a branch that is required", a(oneof(`type: TYPE_STRING options { [openaiconnect.rest.v1.member] { presence: PRESENCE_REQUIRED } }`, tagged)), "x.v1.M: f: presence does not apply to a branch of a oneof"},
		{"a branch of the tag's name", a(oneof(`type: TYPE_STRING options { [openaiconnect.rest.v1.member] { name: "type" } }`, tagged)), `x.v1.M: f: the message has two members "type"`},
		{"two tagged unions", a(oneof(`type: TYPE_STRING`, tagged) + `oneof_decl { name: "v" options { [openaiconnect.rest.v1.union] { tag: "kind" } } } field { name: "g" type: TYPE_STRING oneof_index: 1 }`), "x.v1.M: g: the message already has a tagged union: u"},
		{"an inline payload without a tag", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.Other"`, `options { [openaiconnect.rest.v1.union] { inline: true } }`)) + other, "x.v1.M: f: inline requires a tag"},
		{"an inline scalar", a(oneof(`type: TYPE_STRING`, inline)), "x.v1.M: f: an inline branch must be a message"},
		{"an inline payload with extra_json", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.Other"`, inline)) + other, "x.v1.M: f: extra_json: an inline payload must have plain members only; extra_json belongs to the message of the union"},
		{"an inline payload with an unsupported type", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.P"`, inline)) + `message_type { name: "P" field { name: "p" type: TYPE_FLOAT } }`, "x.v1.M: f: p: unsupported type float"},
		{"an inline payload with a member that has the tag's name", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.P"`, inline)) + `message_type { name: "P" field { name: "type" type: TYPE_STRING } }`, `x.v1.M: f: the message has two members "type"`},
		{"an inline payload with a repeated member", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.P"`, inline)) + `message_type { name: "P" field { name: "p" type: TYPE_STRING } field { name: "q" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { name: "p" } } } }`, `x.v1.M: f: P has two members "p"`},
		{"an inline payload that is also a member", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.P"`, inline)+`field { name: "g" type: TYPE_MESSAGE type_name: ".x.v1.P" }`) + `message_type { name: "P" field { name: "p" type: TYPE_STRING } }`, "x.v1.M.g: x.v1.P has no codec: it must import"},

		{"an alias of a member of one form", a(`field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { alias { name: "g" when_set: "f" } } } }`), "x.v1.M: f: alias requires the list form of a member with two forms"},
		{"an alias of no name", a(text + `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" alias { when_set: "text" } } } }`), "x.v1.M: f: alias requires the list form of a member with two forms"},
		{"an alias when no field is set", a(text + `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" alias { name: "g" when_set: "x" } } } }`), `x.v1.M: f: alias: M has no field "x"`},
		{"an alias when a field without presence is set", a(text + `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" alias { name: "g" when_set: "text" } } } }`), "x.v1.M: f: alias: when_set: text must be an optional string"},
		{"an alias that is a member too", a(text + `field { name: "g" type: TYPE_STRING } field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" alias { name: "g" when_set: "text" } } } }`), `x.v1.M: f: the message has two members "g"`},
		{"null when there is no field", a(`field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { presence: PRESENCE_NULLABLE_IN_RESPONSE null_when { field: "x" value: "COLOR_RED" } } } }`), `x.v1.M: f: null_when: M has no field "x"`},
		{"null when there is no enum", a(text + `field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { presence: PRESENCE_NULLABLE_IN_RESPONSE null_when { field: "text" value: "COLOR_RED" } } } }`), `x.v1.M: f: null_when: text must be an enum with the value "COLOR_RED"`},
		{"null when there is no value", a(`field { name: "c" type: TYPE_ENUM type_name: ".x.v1.Color" } field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { presence: PRESENCE_NULLABLE_IN_RESPONSE null_when { field: "c" value: "COLOR_BLUE" } } } }`) + color, `x.v1.M: f: null_when: c must be an enum with the value "COLOR_BLUE"`},
		{"null when it is left out", a(`field { name: "c" type: TYPE_ENUM type_name: ".x.v1.Color" } field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { null_when { field: "c" value: "COLOR_RED" } } } }`) + color, "x.v1.M: f: null_when requires PRESENCE_NULLABLE_IN_RESPONSE"},

		{"a path without a slash", rpc(mapped(`get: "a"`), text), `x.v1.S.Do: the path "a" must begin with a slash`},
		{"no path", rpc(mapped(`get: ""`), text), `x.v1.S.Do: the path "" must begin with a slash`},
		{"a path with an unknown field", rpc(mapped(`get: "/a/{b}"`), text), `x.v1.S.Do: M has no field "b"`},
		{"a path with a field that is not closed", rpc(mapped(`get: "/a/{text"`), text), `x.v1.S.Do: in the path "/a/{text", a field must be a whole segment: {field}`},
		{"a path with a part of a segment", rpc(mapped(`get: "/a/{text}.json"`), text), `x.v1.S.Do: in the path "/a/{text}.json", a field must be a whole segment: {field}`},
		{"a path with two fields in a segment", rpc(mapped(`get: "/a/{text}{text}"`), text), `x.v1.S.Do: in the path "/a/{text}{text}", a field must be a whole segment: {field}`},
		{"a path with a field twice", rpc(mapped(`get: "/{text}/{text}"`), text), "x.v1.S.Do: text appears twice in the path"},
		{"a path with a number", rpc(mapped(`get: "/{f}"`), `field { name: "f" type: TYPE_INT32 }`), "x.v1.S.Do: f is in the path and must be a singular string without presence"},
		{"a path with an optional string", rpc(mapped(`get: "/{f}"`), `field { name: "f" type: TYPE_STRING proto3_optional: true }`), "x.v1.S.Do: f is in the path and must be a singular string without presence"},
		{"a path with a list", rpc(mapped(`get: "/{f}"`), `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED }`), "x.v1.S.Do: f is in the path and must be a singular string without presence"},
		{"a body that is one field", rpc(mapped(`post: "/a" body: "text"`), text), `x.v1.S.Do: the body must be "*" or empty`},
		{"a request that streams", rpc(mapped(`post: "/a" body: "*"`)+` client_streaming: true`, text), "x.v1.S.Do: a REST operation cannot have a request stream"},
		{"a stream without events", rpc(mapped(`post: "/a" body: "*"`)+` server_streaming: true`, text), "x.v1.S.Do: event_stream and a response stream require each other"},
		{"events without a stream", rpc(mapped(`post: "/a" body: "*" event_stream {}`), text), "x.v1.S.Do: event_stream and a response stream require each other"},
		{"further query parameters as JSON", rpc(mapped(`get: "/a"`), ``), `x.v1.S.Do: extra_json: the remainder of a query must be a map<string, string>`},
		{"a query of a kind without a rule", query(`field { name: "f" type: TYPE_DOUBLE }`), "x.v1.S.Do: f: its type is not supported as a query parameter"},
		{"a query with a list", query(`field { name: "f" type: TYPE_STRING label: LABEL_REPEATED }`), "x.v1.S.Do: f: its type is not supported as a query parameter"},
		{"a query with a message", query(`field { name: "f" type: TYPE_MESSAGE type_name: ".x.v1.M" }`), "x.v1.S.Do: f: its type is not supported as a query parameter"},
		{"a query with a oneof", query(`oneof_decl { name: "u" } field { name: "f" type: TYPE_STRING oneof_index: 0 }`), "x.v1.S.Do: f: its type is not supported as a query parameter"},
		{"a query with a fixed member", query(``, `fixed { name: "stream" }`), `x.v1.S.Do: fixed "stream" requires a body`},
		{"a fixed member that is not JSON", rpc(mapped(`post: "/a" body: "*" fixed { name: "stream" json: "yes" }`), text), `x.v1.S.Do: the constant "stream" requires a name and a JSON value, not "yes"`},
		{"a fixed member without a name or a value", rpc(mapped(`post: "/a" body: "*" fixed {}`), text), `x.v1.S.Do: the constant "" requires a name and a JSON value, not ""`},
		{"a fixed member without a name", rpc(mapped(`post: "/a" body: "*" fixed { json: "1" }`), text), `x.v1.S.Do: the constant "" requires a name and a JSON value, not "1"`},
		{"a response without a codec", a(text) + `message_type { name: "Empty" } service { name: "S" method { name: "Do" input_type: ".x.v1.M" output_type: ".x.v1.Empty" ` + mapped(`post: "/a" body: "*"`) + `} }`, "x.v1.S.Do: the response x.v1.Empty must map to an object"},
		{"a response that is an array", a(text) + `message_type { name: "A" options { [openaiconnect.rest.v1.object] { array: true } } field { name: "a" type: TYPE_STRING label: LABEL_REPEATED } } service { name: "S" method { name: "Do" input_type: ".x.v1.M" output_type: ".x.v1.A" ` + mapped(`post: "/a" body: "*"`) + `} }`, "x.v1.S.Do: the response x.v1.A must map to an object"},
		{"a request without a codec", a(text) + `message_type { name: "Empty" } service { name: "S" method { name: "Do" input_type: ".x.v1.Empty" output_type: ".x.v1.M" ` + mapped(`post: "/a" body: "*"`) + `} }`, "x.v1.S.Do: the request x.v1.Empty must map to an object"},

		{"a finish without a list", rpc(events(``), finishable) + item, `x.v1.S.Do: M has no field ""`},
		{"a finish of an unknown list", rpc(events(`list: "x"`), finishable) + item, `x.v1.S.Do: M has no field "x"`},
		{"a finish of no list", rpc(events(`list: "count"`), finishable) + item, `x.v1.S.Do: finish: the list count must be a list of messages`},
		{"a finish by unknown fields", rpc(events(`list: "list" key: "a" member: "b" count: "c"`), finishable) + item, "x.v1.S.Do: Item has no field \"a\"\nItem has no field \"b\"\nM has no field \"c\""},
		{"a finish by a key that is not a number", rpc(events(`list: "list" key: "done" member: "done" count: "count"`), finishable) + item, "x.v1.S.Do: finish: the key done must be an int32"},
		{"a finish by a member that is not an enum", rpc(events(`list: "list" key: "key" member: "key" count: "count"`), finishable) + item, "x.v1.S.Do: finish: the member key must be an enum"},
		{"a finish by a count that is not a number", rpc(events(`list: "list" key: "key" member: "done" count: "list"`), finishable) + item, "x.v1.S.Do: finish: the count list must be an int32"},
		{"a fixed member with an equivalent that is not JSON", rpc(mapped(`post: "/a" body: "*" fixed { name: "stream" equivalent: "no" }`), text), `x.v1.S.Do: fixed "stream": the equivalent value "no" is not JSON`},
		{"a unary variant with an unknown RPC", withUnaryVariant(`rpc: "x"`), `x.v1.S.Stream: unary_variant: the service must have a unary RPC "x" with the same request`},
		{"a unary variant that is a stream", withUnaryVariant(`rpc: "Stream"`), `x.v1.S.Stream: unary_variant: the service must have a unary RPC "Stream" with the same request`},
		{"a unary variant with another request", withUnaryVariant(`rpc: "Other"`), `x.v1.S.Stream: unary_variant: the service must have a unary RPC "Other" with the same request`},
		{"a unary variant with unknown fields", withUnaryVariant(`rpc: "Do" full: "a" delta: "b"`), "x.v1.S.Stream: unary_variant: Item has no field \"a\"\nItem has no field \"b\""},
		{"a unary variant with a list", withUnaryVariant(`rpc: "Do" full: "calls" delta: "answer"`), "x.v1.S.Stream: unary_variant: full (calls) and delta (answer) must be messages"},
		{"a unary variant with a scalar", withUnaryVariant(`rpc: "Do" full: "answer" delta: "key"`), "x.v1.S.Stream: unary_variant: full (answer) and delta (key) must be messages"},
		{"indexed with an unknown list", withUnaryVariant(`rpc: "Do" full: "answer" delta: "answer" indexed: "x"`), `x.v1.S.Stream: unary_variant: Answer has no field "x"`},
		{"indexed with a field that is not a list", withUnaryVariant(`rpc: "Do" full: "answer" delta: "answer" indexed: "answer"`), "x.v1.S.Stream: unary_variant: indexed: answer must be a list of messages"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := generatedAlone(t, row.file)
			if err == nil || !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		})
	}
}

// query returns a service whose method has its fields in the query.
func query(fields string, options ...string) string {
	return a(text) + `message_type { name: "Q" ` + fields + `} service { name: "S" method { name: "Do" input_type: ".x.v1.Q" output_type: ".x.v1.M" ` +
		mapped(`get: "/a" `+strings.Join(options, " ")) + `} }`
}

func many(n int) string {
	var fields strings.Builder
	for i := range n {
		fmt.Fprintf(&fields, "field { name: \"f%d\" type: TYPE_STRING } ", i)
	}
	return fields.String()
}

// TestPlugin_AcceptsValidOptions checks the fixtures without an error.
func TestPlugin_AcceptsValidOptions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, file, want string }{
		{"a message", a(text), "func (x *M) DecodeREST("},
		{"128 members", a(many(128)), "case \"f127\":"},
		{"a method", rpc(mapped(`post: "/{text}" body: "*"`), text), `Procedure: "/x.v1.S/Do"`},
		{"a method that streams", rpc(events(`list: "list" key: "key" member: "done" count: "count"`), finishable) + item, "Stream: &restjson.Stream{"},
		{"a unary variant", withUnaryVariant(`rpc: "Do" full: "answer" delta: "answer" indexed: "calls"`), `IndexedLists: []string{"calls"},`},
		{"a query", query(text), `b = q.Add(b, "text", x.Text)`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			written, err := generatedAlone(t, row.file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(written, row.want) {
				t.Errorf("want %q in\n%s", row.want, written)
			}
		})
	}
}

func TestPlugin_SkipsFilesWithoutOptions(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a service without operations": `service { name: "S" method { name: "Do" input_type: ".google.protobuf.FileOptions" output_type: ".google.protobuf.FileOptions" } }`,
		"an unused enum":               color,
		"a message without fields":     `message_type { name: "M" }`,
	} {
		written, err := generatedAlone(t, text)
		if err != nil || written != "" {
			t.Errorf("%s: got %v\n%s", name, err, written)
		}
	}
}

// generatedAlone runs the plugin on one file.
func generatedAlone(t *testing.T, text string) (string, error) {
	t.Helper()
	const path = "x/v1/x.proto"
	all := append(files(), parse(t, path, `package: "x.v1" options { go_package: "`+gen+`/x/v1;xv1" } dependency: "google/protobuf/descriptor.proto" `+text))
	written, err := generated(all, func(asked string) bool { return asked == path })
	return written["x/v1/x_rest.pb.go"], err
}

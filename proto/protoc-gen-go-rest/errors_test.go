package main

import (
	"fmt"
	"strings"
	"testing"
)

const (
	extra = ` field { name: "extra_json" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { format: FORMAT_REMAINDER } } } `
	// text is a plain member, and other a message to refer to.
	text  = ` field { name: "text" type: TYPE_STRING } `
	other = ` message_type { name: "Other" field { name: "a" type: TYPE_STRING } ` + extra + `} `
	color = ` enum_type { name: "Color" value { name: "COLOR_UNSPECIFIED" } value { name: "COLOR_RED" } } `
)

// a is a message with fields, and an extra_json.
func a(fields string) string { return `message_type { name: "M" ` + fields + extra + `}` }

// rpc is a service with one method, and a message that it takes and returns.
func rpc(method, fields string) string {
	return a(fields) + `service { name: "S" method { name: "Do" input_type: ".x.v1.M" output_type: ".x.v1.M" ` + method + `} }`
}

// mapped is the options of a method that maps to an operation.
func mapped(options string) string {
	return `options { [openaiconnect.rest.v1.operation] { ` + options + ` } }`
}

// events is a method that streams, with how its stream is finished.
func events(finish string) string {
	return mapped(`post: "/a" body: "*" event_stream { finish { `+finish+` } }`) + ` server_streaming: true`
}

// wholeOf is a service with a method that streams and one that has the same answer
// whole.
func wholeOf(option string) string {
	const answer = ` field { name: "answer" type: TYPE_MESSAGE type_name: ".x.v1.Answer" } field { name: "calls" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.Call" } `
	const types = `input_type: ".x.v1.M" output_type: ".x.v1.M" `
	finish := `finish { list: "list" key: "key" member: "done" count: "count" }`
	return a(finishable) + color + `message_type { name: "Item" field { name: "key" type: TYPE_INT32 }
		field { name: "done" type: TYPE_ENUM type_name: ".x.v1.Color" } ` + answer + extra + `}
		message_type { name: "Answer" ` + text + answer + extra + `}
		message_type { name: "Call" field { name: "index" type: TYPE_INT32 } ` + extra + `} ` + other +
		`service { name: "S" method { name: "Do" ` + types + mapped(`post: "/a" body: "*"`) + `}
		method { name: "Other" input_type: ".x.v1.Other" output_type: ".x.v1.M" ` + mapped(`post: "/a" body: "*"`) + `}
		method { name: "Stream" server_streaming: true ` + types + mapped(`post: "/a" body: "*" event_stream { `+finish+` whole { `+option+` } }`) + `} }`
}

const finishable = ` field { name: "list" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.Item" }
	field { name: "count" type: TYPE_INT32 proto3_optional: true } `

// item is what finishable has a list of.
const item = `message_type { name: "Item"
	field { name: "key" type: TYPE_INT32 }
	field { name: "done" type: TYPE_ENUM type_name: ".x.v1.Color" } ` + extra + `}` + color

// TestWhatThePluginRefuses has every mistake in a .proto file that the plugin
// knows, and what it says.
func TestWhatThePluginRefuses(t *testing.T) {
	t.Parallel()
	oneof := func(field, options string) string {
		return ` oneof_decl { name: "u" ` + options + `} field { name: "f" oneof_index: 0 ` + field + `} `
	}
	const tagged = `options { [openaiconnect.rest.v1.union] { tag: "type" } }`
	const beside = `options { [openaiconnect.rest.v1.union] { tag: "type" beside: true } }`
	for _, row := range []struct{ name, file, want string }{
		{"no extra_json", `message_type { name: "M" ` + text + `}`, "x.v1.M: needs a field for what it can't represent: string extra_json with FORMAT_REMAINDER"},
		{"no extra_json, in a nested message", `message_type { name: "M" nested_type { name: "N" ` + text + `} ` + extra + `}`, "x.v1.M.N: needs a field for what it can't represent: string extra_json with FORMAT_REMAINDER"},
		{"an extra_json of another type", `message_type { name: "M" field { name: "extra_json" type: TYPE_BYTES options { [openaiconnect.rest.v1.member] { format: FORMAT_REMAINDER } } } }`, "x.v1.M: extra_json: FORMAT_REMAINDER is for string extra_json"},
		{"an extra_json of another name", `message_type { name: "M" field { name: "rest" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { format: FORMAT_REMAINDER } } } }`, "x.v1.M: rest: FORMAT_REMAINDER is for string extra_json"},
		{"an optional extra_json", `message_type { name: "M" field { name: "extra_json" type: TYPE_STRING proto3_optional: true options { [openaiconnect.rest.v1.member] { format: FORMAT_REMAINDER } } } }`, "x.v1.M: extra_json: FORMAT_REMAINDER is for string extra_json"},
		{"a kind without a rule", a(`field { name: "f" type: TYPE_FLOAT }`), "x.v1.M: f: the codec has no rule for float"},
		{"an unsigned integer", a(`field { name: "f" type: TYPE_UINT64 label: LABEL_REPEATED }`), "x.v1.M: f: the codec has no rule for uint64"},
		{"a map of a kind without a rule", a(`nested_type { name: "FEntry" options { map_entry: true } field { name: "key" type: TYPE_STRING } field { name: "value" type: TYPE_FIXED32 } } field { name: "f" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.M.FEntry" }`), "x.v1.M: f: the codec has no rule for fixed32"},
		{"a map with keys that are no strings", a(`nested_type { name: "FEntry" options { map_entry: true } field { name: "key" type: TYPE_INT32 } field { name: "value" type: TYPE_STRING } } field { name: "f" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.M.FEntry" }`), "x.v1.M: f: the keys of a map must be strings"},
		{"an optional enum", a(`field { name: "f" type: TYPE_ENUM type_name: ".x.v1.Color" proto3_optional: true }`) + color, "x.v1.M: f: an enum is absent when it is 0: it can't be optional"},
		{"octets that are no bytes", a(`field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { format: FORMAT_OCTETS } } }`), "x.v1.M: f: FORMAT_OCTETS is for bytes"},
		{"JSON that is no string", a(`field { name: "f" type: TYPE_BYTES options { [openaiconnect.rest.v1.member] { format: FORMAT_JSON_OBJECT } } }`), "x.v1.M: f: FORMAT_JSON_OBJECT is for strings"},
		{"too many members", a(many(129)), "x.v1.M: has 129 members; restjson.MaxMembers is 128"},
		{"two fields of one member", a(text + `field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { name: "text" } } }`), `x.v1.M: f: text is the member "text" too: of two forms of a member, one must be a list`},
		{"three forms of one member", a(text + `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" } } } field { name: "g" type: TYPE_BOOL label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" } } }`), `x.v1.M: g: text is the member "text" too: of two forms of a member, one must be a list`},
		{"a constant that is a field too", a(`options { [openaiconnect.rest.v1.object] { constants { name: "text" json: "1" } } }` + text), `x.v1.M: text: the message has two members "text"`},
		{"a constant twice", a(`options { [openaiconnect.rest.v1.object] { constants { name: "c" json: "1" } constants { name: "c" json: "2" } } }`), `x.v1.M: the message has two members "c"`},
		{"a constant that is no JSON", a(`options { [openaiconnect.rest.v1.object] { constants { name: "c" json: "explicit" } } }`), `x.v1.M: the constant "c" must have a name and a value in JSON, not "explicit"`},
		{"a constant without a name", a(`options { [openaiconnect.rest.v1.object] { constants { json: "1" } } }`), `x.v1.M: the constant "" must have a name and a value in JSON, not "1"`},
		{"a list of one that is no list", a(`field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { single: true } } }`), "x.v1.M: f: single is for lists"},
		{"a message without a codec", a(`field { name: "f" type: TYPE_MESSAGE type_name: ".google.protobuf.FieldOptions" }`), "x.v1.M.f: google.protobuf.FieldOptions has no codec: it must import openaiconnect/rest/v1/annotations.proto, have fields, and not be a query or the payload beside a tag"},
		{"a message without fields", a(`field { name: "f" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.Empty" }`) + `message_type { name: "Empty" }`, "x.v1.M.f: x.v1.Empty has no codec: it must import"},
		{"a map of messages without a codec", a(`nested_type { name: "FEntry" options { map_entry: true } field { name: "key" type: TYPE_STRING } field { name: "value" type: TYPE_MESSAGE type_name: ".x.v1.Empty" } } field { name: "f" type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".x.v1.M.FEntry" }`) + `message_type { name: "Empty" }`, "x.v1.M.f: x.v1.Empty has no codec: it must import"},
		{"an array with two fields", `message_type { name: "M" options { [openaiconnect.rest.v1.object] { array: true } } field { name: "a" type: TYPE_STRING label: LABEL_REPEATED } field { name: "b" type: TYPE_STRING } }`, "x.v1.M: array: the message must have one field, a list"},
		{"an array of no list", `message_type { name: "M" options { [openaiconnect.rest.v1.object] { array: true } } ` + text + `}`, "x.v1.M: array: the message must have one field, a list"},
		{"an array of a kind without a rule", `message_type { name: "M" options { [openaiconnect.rest.v1.object] { array: true } } field { name: "a" type: TYPE_FLOAT label: LABEL_REPEATED } }`, "x.v1.M: the codec has no rule for float"},
		{"enum values of one spelling", a(`field { name: "f" type: TYPE_ENUM type_name: ".x.v1.Color" }`) + `enum_type { name: "Color" value { name: "COLOR_UNSPECIFIED" } value { name: "COLOR_RED" } value { name: "COLOR_ROT" options { [openaiconnect.rest.v1.value]: "red" } } }`, `x.v1.Color: Color_COLOR_RED and Color_COLOR_ROT are both spelled "red"`},
		{"enum values of one number", a(`field { name: "f" type: TYPE_ENUM type_name: ".x.v1.Color" }`) + `enum_type { name: "Color" options { allow_alias: true } value { name: "COLOR_UNSPECIFIED" } value { name: "COLOR_RED" } value { name: "COLOR_ROT" number: 1 } }`, "x.v1.Color: each value must have a number of its own"},

		{"a bare field outside a oneof", a(`field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { bare: true } } }`), "x.v1.M: f: bare is for one branch of a oneof, which is no message"},
		{"a bare message", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.Other" options { [openaiconnect.rest.v1.member] { bare: true } }`, tagged)) + other, "x.v1.M: f: bare is for one branch of a oneof, which is no message"},
		{"two bare branches", a(oneof(`type: TYPE_STRING options { [openaiconnect.rest.v1.member] { bare: true } }`, tagged) + `field { name: "g" type: TYPE_BOOL oneof_index: 0 options { [openaiconnect.rest.v1.member] { bare: true } } }`), "x.v1.M: g: bare is for one branch of a oneof, which is no message"},
		{"a branch that is required", a(oneof(`type: TYPE_STRING options { [openaiconnect.rest.v1.member] { presence: PRESENCE_REQUIRED } }`, tagged)), "x.v1.M: f: a branch of a oneof is written when it is set, whatever its presence"},
		{"a branch of the tag's name", a(oneof(`type: TYPE_STRING options { [openaiconnect.rest.v1.member] { name: "type" } }`, tagged)), `x.v1.M: f: the message has two members "type"`},
		{"two tagged unions", a(oneof(`type: TYPE_STRING`, tagged) + `oneof_decl { name: "v" options { [openaiconnect.rest.v1.union] { tag: "kind" } } } field { name: "g" type: TYPE_STRING oneof_index: 1 }`), "x.v1.M: g: the message has another tagged union, u"},
		{"a payload beside no tag", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.Other"`, `options { [openaiconnect.rest.v1.union] { beside: true } }`)) + other, "x.v1.M: f: its oneof is beside a tag, but has no tag"},
		{"a scalar beside a tag", a(oneof(`type: TYPE_STRING`, beside)), "x.v1.M: f: what stands beside a tag must be a message"},
		{"an extra_json beside a tag", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.Other"`, beside)) + other, "x.v1.M: f: extra_json: what stands beside a tag must be a plain member; extra_json is the union's"},
		{"a kind without a rule beside a tag", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.P"`, beside)) + `message_type { name: "P" field { name: "p" type: TYPE_FLOAT } }`, "x.v1.M: f: p: the codec has no rule for float"},
		{"a member of the tag's name beside it", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.P"`, beside)) + `message_type { name: "P" field { name: "type" type: TYPE_STRING } }`, `x.v1.M: f: the message has two members "type"`},
		{"a member twice beside a tag", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.P"`, beside)) + `message_type { name: "P" field { name: "p" type: TYPE_STRING } field { name: "q" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { name: "p" } } } }`, `x.v1.M: f: P has two members "p"`},
		{"a payload that is a member too", a(oneof(`type: TYPE_MESSAGE type_name: ".x.v1.P"`, beside)+`field { name: "g" type: TYPE_MESSAGE type_name: ".x.v1.P" }`) + `message_type { name: "P" field { name: "p" type: TYPE_STRING } }`, "x.v1.M.g: x.v1.P has no codec: it must import"},

		{"an alias of a member of one form", a(`field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { alias { name: "g" when_set: "f" } } } }`), "x.v1.M: f: alias is for the list of a member that has another form"},
		{"an alias of no name", a(text + `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" alias { when_set: "text" } } } }`), "x.v1.M: f: alias is for the list of a member that has another form"},
		{"an alias when no field is set", a(text + `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" alias { name: "g" when_set: "x" } } } }`), `x.v1.M: f: alias: M has no field "x"`},
		{"an alias when a field without presence is set", a(text + `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" alias { name: "g" when_set: "text" } } } }`), "x.v1.M: f: alias: when_set: text must be an optional string"},
		{"an alias that is a member too", a(text + `field { name: "g" type: TYPE_STRING } field { name: "f" type: TYPE_STRING label: LABEL_REPEATED options { [openaiconnect.rest.v1.member] { name: "text" alias { name: "g" when_set: "text" } } } }`), `x.v1.M: f: the message has two members "g"`},
		{"null when there is no field", a(`field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { presence: PRESENCE_NULLABLE_IN_REPLY null_when { field: "x" value: "COLOR_RED" } } } }`), `x.v1.M: f: null_when: M has no field "x"`},
		{"null when there is no enum", a(text + `field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { presence: PRESENCE_NULLABLE_IN_REPLY null_when { field: "text" value: "COLOR_RED" } } } }`), `x.v1.M: f: null_when: text must be an enum with the value "COLOR_RED"`},
		{"null when there is no value", a(`field { name: "c" type: TYPE_ENUM type_name: ".x.v1.Color" } field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { presence: PRESENCE_NULLABLE_IN_REPLY null_when { field: "c" value: "COLOR_BLUE" } } } }`) + color, `x.v1.M: f: null_when: c must be an enum with the value "COLOR_BLUE"`},
		{"null when it is left out", a(`field { name: "c" type: TYPE_ENUM type_name: ".x.v1.Color" } field { name: "f" type: TYPE_STRING options { [openaiconnect.rest.v1.member] { null_when { field: "c" value: "COLOR_RED" } } } }`) + color, "x.v1.M: f: null_when is for PRESENCE_NULLABLE_IN_REPLY"},

		{"a path without a slash", rpc(mapped(`get: "a"`), text), `x.v1.S.Do: the path "a" must begin with a slash`},
		{"no path", rpc(mapped(`get: ""`), text), `x.v1.S.Do: the path "" must begin with a slash`},
		{"a path with an unknown field", rpc(mapped(`get: "/a/{b}"`), text), `x.v1.S.Do: M has no field "b"`},
		{"a path with a field that is not closed", rpc(mapped(`get: "/a/{text"`), text), `x.v1.S.Do: in the path "/a/{text", a field must be a whole segment: {field}`},
		{"a path with a part of a segment", rpc(mapped(`get: "/a/{text}.json"`), text), `x.v1.S.Do: in the path "/a/{text}.json", a field must be a whole segment: {field}`},
		{"a path with two fields in a segment", rpc(mapped(`get: "/a/{text}{text}"`), text), `x.v1.S.Do: in the path "/a/{text}{text}", a field must be a whole segment: {field}`},
		{"a path with a field twice", rpc(mapped(`get: "/{text}/{text}"`), text), "x.v1.S.Do: text stands in the path twice"},
		{"a path with a number", rpc(mapped(`get: "/{f}"`), `field { name: "f" type: TYPE_INT32 }`), "x.v1.S.Do: f stands in the path: it must be a plain string"},
		{"a path with an optional string", rpc(mapped(`get: "/{f}"`), `field { name: "f" type: TYPE_STRING proto3_optional: true }`), "x.v1.S.Do: f stands in the path: it must be a plain string"},
		{"a path with a list", rpc(mapped(`get: "/{f}"`), `field { name: "f" type: TYPE_STRING label: LABEL_REPEATED }`), "x.v1.S.Do: f stands in the path: it must be a plain string"},
		{"a body that is one field", rpc(mapped(`post: "/a" body: "text"`), text), `x.v1.S.Do: the body must be "*" or absent`},
		{"a request that streams", rpc(mapped(`post: "/a" body: "*"`)+` client_streaming: true`, text), "x.v1.S.Do: a REST operation takes one request, not a stream"},
		{"a stream without events", rpc(mapped(`post: "/a" body: "*"`)+` server_streaming: true`, text), "x.v1.S.Do: a method streams if and only if it has an event_stream"},
		{"events without a stream", rpc(mapped(`post: "/a" body: "*" event_stream {}`), text), "x.v1.S.Do: a method streams if and only if it has an event_stream"},
		{"further query parameters as JSON", rpc(mapped(`get: "/a"`), ``), `x.v1.S.Do: extra_json: further query parameters must be a map<string, string>`},
		{"a query of a kind without a rule", query(`field { name: "f" type: TYPE_DOUBLE }`), "x.v1.S.Do: f: the codec has no rule for it as a query parameter"},
		{"a query with a list", query(`field { name: "f" type: TYPE_STRING label: LABEL_REPEATED }`), "x.v1.S.Do: f: the codec has no rule for it as a query parameter"},
		{"a query with a message", query(`field { name: "f" type: TYPE_MESSAGE type_name: ".x.v1.M" }`), "x.v1.S.Do: f: the codec has no rule for it as a query parameter"},
		{"a query with a oneof", query(`oneof_decl { name: "u" } field { name: "f" type: TYPE_STRING oneof_index: 0 }`), "x.v1.S.Do: f: the codec has no rule for it as a query parameter"},
		{"a query that decides", query(``, `decides { name: "stream" }`), `x.v1.S.Do: decides "stream", but has no body`},
		{"a decision that is no JSON", rpc(mapped(`post: "/a" body: "*" decides { name: "stream" json: "yes" }`), text), `x.v1.S.Do: the constant "stream" must have a name and a value in JSON, not "yes"`},
		{"a decision without a name or a value", rpc(mapped(`post: "/a" body: "*" decides {}`), text), `x.v1.S.Do: the constant "" must have a name and a value in JSON, not ""`},
		{"a decision without a name", rpc(mapped(`post: "/a" body: "*" decides { json: "1" }`), text), `x.v1.S.Do: the constant "" must have a name and a value in JSON, not "1"`},
		{"a response without a codec", a(text) + `message_type { name: "Empty" } service { name: "S" method { name: "Do" input_type: ".x.v1.M" output_type: ".x.v1.Empty" ` + mapped(`post: "/a" body: "*"`) + `} }`, "x.v1.S.Do: the response x.v1.Empty must map to an object"},
		{"a response that is an array", a(text) + `message_type { name: "A" options { [openaiconnect.rest.v1.object] { array: true } } field { name: "a" type: TYPE_STRING label: LABEL_REPEATED } } service { name: "S" method { name: "Do" input_type: ".x.v1.M" output_type: ".x.v1.A" ` + mapped(`post: "/a" body: "*"`) + `} }`, "x.v1.S.Do: the response x.v1.A must map to an object"},
		{"a request without a codec", a(text) + `message_type { name: "Empty" } service { name: "S" method { name: "Do" input_type: ".x.v1.Empty" output_type: ".x.v1.M" ` + mapped(`post: "/a" body: "*"`) + `} }`, "x.v1.S.Do: the request x.v1.Empty must map to an object"},

		{"a finish without a list", rpc(events(``), finishable) + item, `x.v1.S.Do: M has no field ""`},
		{"a finish of an unknown list", rpc(events(`list: "x"`), finishable) + item, `x.v1.S.Do: M has no field "x"`},
		{"a finish of no list", rpc(events(`list: "count"`), finishable) + item, `x.v1.S.Do: finish: the list count must be a list of messages`},
		{"a finish by unknown fields", rpc(events(`list: "list" key: "a" member: "b" count: "c"`), finishable) + item, "x.v1.S.Do: Item has no field \"a\"\nItem has no field \"b\"\nM has no field \"c\""},
		{"a finish by a key that is no number", rpc(events(`list: "list" key: "done" member: "done" count: "count"`), finishable) + item, "x.v1.S.Do: finish: the key done must be an int32"},
		{"a finish by a member that is no enum", rpc(events(`list: "list" key: "key" member: "key" count: "count"`), finishable) + item, "x.v1.S.Do: finish: the member key must be an enum"},
		{"a finish by a count that is no number", rpc(events(`list: "list" key: "key" member: "done" count: "list"`), finishable) + item, "x.v1.S.Do: finish: the count list must be an int32"},
		{"a decision that is the same as what is no JSON", rpc(mapped(`post: "/a" body: "*" decides { name: "stream" same: "no" }`), text), `x.v1.S.Do: decides "stream", which can't be the same as "no": that is not JSON`},
		{"a whole of an unknown RPC", wholeOf(`rpc: "x"`), `x.v1.S.Stream: whole: the service must have an unary RPC "x" with the same request`},
		{"a whole of a stream", wholeOf(`rpc: "Stream"`), `x.v1.S.Stream: whole: the service must have an unary RPC "Stream" with the same request`},
		{"a whole of another request", wholeOf(`rpc: "Other"`), `x.v1.S.Stream: whole: the service must have an unary RPC "Other" with the same request`},
		{"a whole of unknown fields", wholeOf(`rpc: "Do" item: "a" piece: "b"`), "x.v1.S.Stream: whole: Item has no field \"a\"\nItem has no field \"b\""},
		{"a whole in a list", wholeOf(`rpc: "Do" item: "calls" piece: "answer"`), "x.v1.S.Stream: whole: the item calls and the piece answer must be messages"},
		{"a whole that is a number", wholeOf(`rpc: "Do" item: "answer" piece: "key"`), "x.v1.S.Stream: whole: the item answer and the piece key must be messages"},
		{"a number of an unknown list", wholeOf(`rpc: "Do" item: "answer" piece: "answer" numbered: "x"`), `x.v1.S.Stream: whole: Answer has no field "x"`},
		{"a number of no list", wholeOf(`rpc: "Do" item: "answer" piece: "answer" numbered: "answer"`), "x.v1.S.Stream: whole: numbered: answer must be a list of messages"},
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

// query is a service whose method has its fields in the query.
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

// TestWhatThePluginAccepts has the fixtures of the mistakes without a mistake.
func TestWhatThePluginAccepts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, file, want string }{
		{"a message", a(text), "func (x *M) DecodeREST("},
		{"128 members", a(many(128)), "case \"f127\":"},
		{"a method", rpc(mapped(`post: "/{text}" body: "*"`), text), `Procedure: "/x.v1.S/Do"`},
		{"a method that streams", rpc(events(`list: "list" key: "key" member: "done" count: "count"`), finishable) + item, "Stream: &restjson.Stream{"},
		{"a whole", wholeOf(`rpc: "Do" item: "answer" piece: "answer" numbered: "calls"`), `Numbered:  []string{"calls"},`},
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

func TestAFileWithoutOptionsHasNoCodec(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a service that maps to nothing": `service { name: "S" method { name: "Do" input_type: ".google.protobuf.FileOptions" output_type: ".google.protobuf.FileOptions" } }`,
		"an enum that nothing has":       color,
		"a message without fields":       `message_type { name: "M" }`,
	} {
		written, err := generatedAlone(t, text)
		if err != nil || written != "" {
			t.Errorf("%s: got %v\n%s", name, err, written)
		}
	}
}

// generatedAlone runs the plugin over one file.
func generatedAlone(t *testing.T, text string) (string, error) {
	t.Helper()
	const path = "x/v1/x.proto"
	all := append(files(), parse(t, path, `package: "x.v1" options { go_package: "`+gen+`/x/v1;xv1" } dependency: "google/protobuf/descriptor.proto" `+text))
	written, err := generated(all, func(asked string) bool { return asked == path })
	return written["x/v1/x_rest.pb.go"], err
}

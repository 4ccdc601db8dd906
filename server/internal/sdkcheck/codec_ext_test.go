package sdkcheck_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/pagination"
	"github.com/openai/openai-go/v3/packages/respjson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/proto/restjson/restjsontest"
	"github.com/openai-connect/openai-connect/server/internal/sdkcheck"
)

// The typed API and the SDK encode equal requests, and each decodes the other's.
func TestRequests_EqualTheSDKs(t *testing.T) {
	t.Parallel()
	for _, request := range sdkcheck.Requests() {
		t.Run(request.Name, func(t *testing.T) {
			t.Parallel()
			ours, err := restjson.AppendRequest(nil, request.Typed, []restjson.Constant{{Name: "stream", JSON: "true"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sdkcheck.Params[openai.ChatCompletionNewParams](ours); err != nil {
				t.Errorf("SDK decodes a different request: %v\n%s", err, ours)
			}

			if ours, err = restjson.AppendRequest(nil, request.Typed, nil); err != nil {
				t.Fatal(err)
			}
			theirs, err := json.Marshal(request.SDK)
			if err != nil {
				t.Fatal(err)
			}
			if err := restjsontest.Same(theirs, ours); err != nil {
				t.Errorf("SDK sends a different request: %v\n%s\n%s", err, theirs, ours)
			}

			back := new(chatv1.CreateChatCompletionRequest)
			if err := restjson.Unmarshal(theirs, back); err != nil {
				t.Fatal(err)
			}
			checkNoExtras(t, "", back.ProtoReflect())
			if ours, err = restjson.AppendRequest(nil, back, nil); err != nil {
				t.Fatal(err)
			}
			if err := restjsontest.Same(theirs, ours); err != nil {
				t.Errorf("SDK's request decodes differently: %v\n%s\n%s", err, theirs, ours)
			}
		})
	}
}

func TestRequests_CoverEveryFieldAndValue(t *testing.T) {
	t.Parallel()
	var messages []proto.Message
	for _, request := range sdkcheck.Requests() {
		messages = append(messages, request.Typed)
	}
	isSent := func(field protoreflect.FieldDescriptor) bool {
		option, _ := proto.GetExtension(field.Options(), restv1.E_Member).(*restv1.Member)
		return !option.GetOutputOnly()
	}
	checkEverything(t, messages, isSent)

	want, got := make(map[protoreflect.FullName]bool), make(map[protoreflect.FullName]bool)
	expect(want, messages[0].ProtoReflect().Descriptor(), isSent)
	for _, message := range messages {
		findValues(got, message.ProtoReflect())
	}
	for name := range want {
		field, _ := protoregistry.GlobalFiles.FindDescriptorByName(name)
		enum := field.(protoreflect.FieldDescriptor).Enum()
		for i := 1; enum != nil && i < enum.Values().Len(); i++ {
			if value := enum.Values().Get(i).FullName(); !got[value] {
				t.Errorf("no request has %s", value)
			}
		}
	}
}

// findValues collects the enum values in a message, at any depth.
func findValues(got map[protoreflect.FullName]bool, message protoreflect.Message) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		find := func(value protoreflect.Value) {
			switch {
			case field.Enum() != nil:
				got[field.Enum().Values().ByNumber(value.Enum()).FullName()] = true
			case field.Message() != nil:
				findValues(got, value.Message())
			}
		}
		switch {
		case field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				find(value.List().Get(i))
			}
		default:
			find(value)
		}
		return true
	})
}

func TestReplies_CompletionsEqualTheSDKs(t *testing.T) {
	t.Parallel()
	seen := make(notes)
	var messages []proto.Message
	for _, completion := range sdkcheck.Completions() {
		messages = append(messages, completion)
		seen.add(checkReply[openai.ChatCompletion](t, completion))
	}
	seen.checkAll(t)
	checkEverything(t, messages, func(field protoreflect.FieldDescriptor) bool {
		return !slices.Contains([]protoreflect.FullName{
			// Fields of requests or stored messages only.
			"openaiconnect.chat.v1.Message.content_parts", "openaiconnect.chat.v1.Message.name",
			"openaiconnect.chat.v1.Message.tool_call_id", "openaiconnect.chat.v1.Message.id",
		}, field.FullName())
	})
}

func TestReplies_ChunksEqualTheSDKs(t *testing.T) {
	t.Parallel()
	seen := make(notes)
	var messages []proto.Message
	for _, chunk := range sdkcheck.Chunks() {
		messages = append(messages, chunk)
		seen.add(checkReply[openai.ChatCompletionChunk](t, chunk))
	}
	seen.checkAll(t)
	checkEverything(t, messages, func(field protoreflect.FieldDescriptor) bool {
		return field.FullName() != "openaiconnect.chat.v1.ToolCallDelta.custom" // unknown to the SDK
	})
}

func TestReplies_StoredMessagesEqualTheSDKs(t *testing.T) {
	t.Parallel()
	list := sdkcheck.StoredMessages()
	data := checkPage[openai.ChatCompletionStoreMessage](t, list)
	if len(data) != len(list.GetData()) || data[0].ContentParts[1].AsImageContentPart().ImageURL.Detail != "low" {
		t.Errorf("got %+v", data)
	}
	seen := make(notes)
	for _, message := range data {
		seen.add(message)
	}
	seen.checkAll(t)
}

func TestReplies_CompletionPagesEqualTheSDKs(t *testing.T) {
	t.Parallel()
	list := &chatv1.ChatCompletionList{Data: sdkcheck.Completions(), FirstId: "chatcmpl-1", LastId: "chatcmpl-3", HasMore: true}
	if data := checkPage[openai.ChatCompletion](t, list); len(data) != len(list.GetData()) {
		t.Errorf("got %+v", data)
	}
}

func TestReplies_DeletionsEqualTheSDKs(t *testing.T) {
	t.Parallel()
	deleted := checkReply[openai.ChatCompletionDeleted](t, &chatv1.ChatCompletionDeleted{Id: "a", Deleted: true})
	if deleted.ID != "a" || !deleted.Deleted {
		t.Errorf("got %+v", deleted)
	}
}

// message is a message with a generated codec.
type message interface {
	proto.Message
	restjson.Encodable
	restjson.Decodable
}

// checkReply encodes a reply, decodes it with the SDK, and decodes it again.
func checkReply[T any](t *testing.T, reply message) T {
	t.Helper()
	body := written(t, reply)
	read, err := sdkcheck.Reply[T](body)
	if err != nil {
		t.Errorf("SDK decodes a different reply: %v\n%s", err, body)
	}
	return read
}

// checkPage is checkReply for the items of a page. The SDK knows only two fields of the
// page itself.
func checkPage[T any](t *testing.T, page message) []T {
	t.Helper()
	body := written(t, page)
	var cursor pagination.CursorPage[json.RawMessage]
	if err := json.Unmarshal(body, &cursor); err != nil {
		t.Fatal(err)
	}
	if !cursor.JSON.Data.Valid() || !cursor.JSON.HasMore.Valid() || !cursor.HasMore {
		t.Errorf("SDK decodes a different page: %s", body)
	}
	var items []T
	for _, item := range cursor.Data {
		read, err := sdkcheck.Reply[T](item)
		if err != nil {
			t.Errorf("SDK decodes a different item: %v\n%s", err, item)
		}
		items = append(items, read)
	}
	return items
}

// written returns a reply as JSON, after checking that it decodes to an equal reply.
func written(t *testing.T, reply message) []byte {
	t.Helper()
	body, err := restjson.AppendFull(nil, reply)
	if err != nil {
		t.Fatal(err)
	}
	again := reply.ProtoReflect().New().Interface()
	back, _ := again.(restjson.Decodable)
	if err := restjson.Unmarshal(body, back); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(again, reply) {
		t.Errorf("got  %v\nwant %v", again, reply)
	}
	return body
}

// notes are the fields that the SDK found in replies, by Go type.
type notes map[reflect.Type]map[string]bool

func (n notes) add(reply any) { n.addValue(reflect.ValueOf(reply)) }

func (n notes) addValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		n.addValue(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			n.addValue(v.Index(i))
		}
	case reflect.Struct:
		noted := v.FieldByName("JSON")
		if !noted.IsValid() {
			return
		}
		if variant := v.MethodByName("AsAny"); variant.IsValid() {
			n.addValue(variant.Call(nil)[0])
			return
		}
		if !noted.FieldByName("ExtraFields").IsValid() {
			return // a union without a discriminator
		}
		if n[v.Type()] == nil {
			n[v.Type()] = make(map[string]bool)
		}
		for i := range noted.NumField() {
			name := noted.Type().Field(i).Name
			if field, ok := noted.Field(i).Interface, noted.Type().Field(i).Type == reflect.TypeFor[respjson.Field](); ok {
				note, _ := field().(respjson.Field)
				n[v.Type()][name] = n[v.Type()][name] || note.Valid()
				if note.Valid() {
					n.addValue(v.FieldByName(name))
				}
			}
		}
	default:
	}
}

// checkAll checks that every field known to the SDK was found.
func (n notes) checkAll(t *testing.T) {
	t.Helper()
	for typ, fields := range n {
		for name, valid := range fields {
			if !valid {
				t.Errorf("%s.%s was not found", typ.Name(), name)
			}
		}
	}
}

// checkEverything checks that the messages together have every field that counts, at
// any depth.
func checkEverything(t *testing.T, messages []proto.Message, counts func(protoreflect.FieldDescriptor) bool) {
	t.Helper()
	want, got := make(map[protoreflect.FullName]bool), make(map[protoreflect.FullName]bool)
	expect(want, messages[0].ProtoReflect().Descriptor(), counts)
	for _, message := range messages {
		find(got, message.ProtoReflect())
	}
	for name := range want {
		if !got[name] && !strings.HasSuffix(string(name), "extra_json") {
			t.Errorf("no message has %s", name)
		}
	}
}

func expect(want map[protoreflect.FullName]bool, message protoreflect.MessageDescriptor, counts func(protoreflect.FieldDescriptor) bool) {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if want[field.FullName()] || !counts(field) {
			continue
		}
		want[field.FullName()] = true
		if inner := field.Message(); inner != nil && inner.ParentFile().Package() == "openaiconnect.chat.v1" {
			expect(want, inner, counts)
		}
	}
}

func find(got map[protoreflect.FullName]bool, message protoreflect.Message) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		got[field.FullName()] = true
		switch {
		case field.IsMap():
			entry := field.Message()
			got[entry.Fields().Get(0).FullName()], got[entry.Fields().Get(1).FullName()] = true, true
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
					find(got, value.Message())
					return true
				})
			}
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				find(got, value.List().Get(i).Message())
			}
		default:
			find(got, value.Message())
		}
		return true
	})
}

func checkNoExtras(t *testing.T, path string, message protoreflect.Message) {
	t.Helper()
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + "." + string(field.Name())
		switch {
		case field.Name() == "extra_json":
			t.Errorf("got %s %s, want none", at, value)
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				checkNoExtras(t, at, value.List().Get(i).Message())
			}
		default:
			checkNoExtras(t, at, value.Message())
		}
		return true
	})
}

package errors_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// These tests put an unknown field number, an unknown JSON name, or an unknown enum
// number into every message that a request can contain. They use one protocol
// after the other.

// Names and numbers that no message has.
const (
	unknownField     = protowire.Number(4321)
	lastUnknownField = unknownField + 1
	unknownName      = `"playfulness"`
)

// requests sends requests with each client in turn, and with each JSON content
// type, to an upstream that answers all of them.
type requests struct {
	front    *servertest.Front
	upstream *servertest.Upstream
	clients  []e2etest.Client
	turn     int
	used     map[string]int // by kind of request and protocol
}

func startRequests(t *testing.T) *requests {
	t.Helper()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(string(body), `"stream":true}`) {
			servertest.Events("[DONE]")(w, r)
			return
		}
		servertest.JSON(http.StatusOK, `{}`)(w, r)
	})
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	byGET := e2etest.NewConnectClient("Connect over GET", front.Connect(t, servertest.Protocols()[0], connecthttp.WithHTTPGet()))
	return &requests{
		front:    front,
		upstream: upstream,
		clients:  append(e2etest.LibraryClients(t, front), byGET),
		used:     make(map[string]int),
	}
}

// send sends a request with the next suitable client.
func (r *requests) send(t *testing.T, kind string, method protoreflect.MethodDescriptor, request proto.Message) error {
	t.Helper()
	client := r.clients[r.turn%len(r.clients)]
	r.turn++
	if kind == "an unknown field" && client.Name == "Connect JSON" {
		return r.send(t, kind, method, request) // JSON has no unknown field numbers.
	}
	r.used[kind+" with "+client.Name]++
	c := e2etest.Call{Method: string(method.Name()), Request: request}
	if method.IsStreamingServer() {
		_, err := client.Stream(e2etest.Context(t), c, func(chunk *chatv1.ChatCompletionChunk) { t.Errorf("got chunk %v", chunk) })
		return err
	}
	// Responses are empty, which is a valid message of any type.
	_, err := client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
	return err
}

// accept checks that a request reaches the upstream.
func (r *requests) accept(t *testing.T, method protoreflect.MethodDescriptor, request proto.Message) {
	t.Helper()
	if err := r.send(t, "nothing unknown", method, request); err != nil {
		t.Errorf("got error %v for a request without unknown fields:\n%v", err, request)
	}
	if got := r.upstream.Take(); len(got) != 1 {
		t.Errorf("upstream received %d requests", len(got))
	}
}

// reject checks that a request is rejected with a message and does not reach the
// upstream.
func (r *requests) reject(t *testing.T, kind string, method protoreflect.MethodDescriptor, request proto.Message, says string) {
	t.Helper()
	err := r.send(t, kind, method, request)
	if err == nil {
		t.Errorf("request succeeded, want an error: %v", request)
	} else if failed := e2etest.AsRPCError(t, err); failed.Code != connect.CodeInvalidArgument || failed.Message != says {
		t.Errorf("got error %v, want %q", failed, says)
	}
	r.receivedNothing(t)
}

// rejectJSON is reject for a request in JSON, in the next content type.
func (r *requests) rejectJSON(t *testing.T, method protoreflect.MethodDescriptor, text, says string) {
	t.Helper()
	media := jsonMedia[r.turn%len(jsonMedia)]
	r.turn++
	if isUnary := !method.IsStreamingServer(); !strings.HasPrefix(media, "application/grpc") && isUnaryMedia(media) != isUnary {
		r.rejectJSON(t, method, text, says)
		return
	}
	r.used["an unknown name as "+media]++
	procedure := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	e2etest.CheckError(t, sendRaw(t, r.front, procedure, media, []byte(text), nil), connect.CodeInvalidArgument, says)
	r.receivedNothing(t)
}

func (r *requests) receivedNothing(t *testing.T) {
	t.Helper()
	if got := r.upstream.Take(); len(got) != 0 {
		t.Errorf("upstream received %v", got)
	}
}

// checkUsed checks that each kind of request was sent with each client.
func (r *requests) checkUsed(t *testing.T, combinations int) {
	t.Helper()
	t.Logf("requests: %v", r.used)
	if len(r.used) != combinations {
		t.Errorf("got %d combinations, want %d: %v", len(r.used), combinations, slices.Sorted(maps.Keys(r.used)))
	}
}

func methods() []protoreflect.MethodDescriptor {
	service := chatv1.File_openaiconnect_chat_v1_chat_service_proto.Services().ByName("ChatService")
	var methods []protoreflect.MethodDescriptor
	for i := range service.Methods().Len() {
		methods = append(methods, service.Methods().Get(i))
	}
	return methods
}

func TestUnknownFields_RejectedInEveryMessage(t *testing.T) {
	t.Parallel()
	r := startRequests(t)
	visited := make(map[protoreflect.FullName]bool)
	locations, enums := 0, 0
	for _, method := range methods() {
		for _, p := range locationsOf(method) {
			locations++
			visited[p.message().FullName()] = true
			t.Run(p.String(), func(t *testing.T) {
				request, _ := p.build(t)
				r.accept(t, method, request)
				r.rejectUnknownField(t, p)
				r.rejectUnknownName(t, p)
				for field := range fieldsOf(p.message()) {
					if field.Enum() != nil {
						enums++
						r.rejectUnknownNumber(t, p, field)
					}
				}
			})
		}
	}
	reachable := make(map[protoreflect.FullName]bool)
	for _, method := range methods() {
		reach(method.Input(), reachable)
	}
	if !maps.Equal(visited, reachable) {
		t.Errorf("visited\n%v\nwant\n%v", slices.Sorted(maps.Keys(visited)), slices.Sorted(maps.Keys(reachable)))
	}
	t.Logf("%d messages in %d locations, with %d enums", len(visited), locations, enums)
	r.checkUsed(t, 3*len(r.clients)-1+len(jsonMedia)) // JSON has no unknown field numbers.
}

// reach collects the types of all messages that a message can contain, and its own.
func reach(message protoreflect.MessageDescriptor, into map[protoreflect.FullName]bool) {
	if into[message.FullName()] {
		return
	}
	if !message.IsMapEntry() {
		into[message.FullName()] = true
	}
	for field := range fieldsOf(message) {
		if field.Message() != nil {
			reach(field.Message(), into)
		}
	}
}

func (r *requests) rejectUnknownField(t *testing.T, p location) {
	t.Helper()
	request, at := p.build(t)
	addUnknown(at, unknownField, lastUnknownField)
	r.reject(t, "an unknown field", p.method, request, unknownFieldError(p))
}

func addUnknown(m protoreflect.Message, numbers ...protowire.Number) {
	unknown := m.GetUnknown()
	for _, number := range numbers {
		unknown = protowire.AppendVarint(protowire.AppendTag(unknown, number, protowire.VarintType), 1)
	}
	m.SetUnknown(unknown)
}

func unknownFieldError(p location) string {
	path := p.path()
	if path != "" {
		path += ": "
	}
	return fmt.Sprintf("%sunknown field number %d of %s: remove it, or use a newer server",
		path, unknownField, p.message().FullName())
}

func (r *requests) rejectUnknownNumber(t *testing.T, p location, field protoreflect.FieldDescriptor) {
	t.Helper()
	request, at := p.build(t)
	setEnum(at, field, 1)
	r.accept(t, p.method, request)
	number := unknownNumber(field.Enum())
	setEnum(at, field, number)
	r.reject(t, "an unknown number", p.method, request, unknownNumberError(p, field))
}

func unknownNumberError(p location, field protoreflect.FieldDescriptor) string {
	return fmt.Sprintf("%s: %d is not a known value", p.path(field), unknownNumber(field.Enum()))
}

func (r *requests) rejectUnknownName(t *testing.T, p location) {
	t.Helper()
	request, _ := p.build(t)
	tree := e2etest.JSONTree(t, request)
	object := p.inTree(t, &tree)
	if object.Kind != jsontree.Object {
		if name := p.message().FullName(); name != "google.protobuf.Timestamp" {
			t.Errorf("%s is not a JSON object", name)
		}
		return
	}
	addName(object)
	text := string(tree.Append(nil, nil))
	r.rejectJSON(t, p.method, text, unknownNameError(text))
}

// inTree returns the message at the location in the request's JSON.
func (p location) inTree(t *testing.T, v *jsontree.Value) *jsontree.Value {
	t.Helper()
	for _, field := range p.fields {
		name := jsontree.Quote(string(field.Name()))
		i := slices.IndexFunc(v.Members, func(m jsontree.Member) bool { return m.Name == name })
		if i < 0 {
			t.Fatalf("%v: JSON lacks %s", p, name)
		}
		v = &v.Members[i].Value
		if field.IsList() {
			v = &v.Items[1]
		}
	}
	return v
}

// addName inserts an unknown name before the other names of an object.
func addName(object *jsontree.Value) {
	unknown := jsontree.Member{Name: unknownName, Value: jsontree.Scalar(jsontree.Number, "1")}
	object.Members = append([]jsontree.Member{unknown}, object.Members...)
}

// unknownNameError returns the error about the first unknown name in text, with its
// position.
func unknownNameError(text string) string {
	return fmt.Sprintf("(line 1:%d): unknown field %s", strings.Index(text, unknownName)+1, unknownName)
}

// The test puts an unknown field into as many messages of one request as possible.
// The error names the first one: an outer message before its inner messages, which
// follow the order of the schema. The test then removes it and repeats.
func TestUnknownFields_FirstFieldIsNamed(t *testing.T) {
	t.Parallel()
	r := startRequests(t)
	for _, method := range methods() {
		request, locations := fullRequest(t, method)
		for _, p := range locations {
			addUnknown(p.in(request), unknownField, lastUnknownField)
		}
		for _, p := range locations {
			r.reject(t, "an unknown field", method, request.Interface(), unknownFieldError(p))
			p.in(request).SetUnknown(nil)
		}
		r.accept(t, method, request.Interface())
	}
}

// In JSON, the first name in the text is named.
func TestUnknownFields_FirstNameIsNamed(t *testing.T) {
	t.Parallel()
	r := startRequests(t)
	for _, method := range methods() {
		request, locations := fullRequest(t, method)
		tree := e2etest.JSONTree(t, request.Interface())
		for _, p := range slices.Backward(locations) {
			if object := p.inTree(t, &tree); object.Kind == jsontree.Object {
				addName(object)
			}
		}
		text := string(tree.Append(nil, nil))
		for strings.Contains(text, unknownName) {
			r.rejectJSON(t, method, text, unknownNameError(text))
			before, after, _ := strings.Cut(text, unknownName+":1")
			text = before + strings.TrimPrefix(after, ",")
		}
		left := request.New().Interface()
		if err := protojson.Unmarshal([]byte(text), left); err != nil || !proto.Equal(left, request.Interface()) {
			t.Errorf("got rest %s and error %v, want %v", text, err, request)
		}
		r.accept(t, method, left)
	}
}

// The test sets all enums that one request can contain to unknown numbers.
func TestUnknownFields_FirstEnumNumberIsNamed(t *testing.T) {
	t.Parallel()
	r := startRequests(t)
	type enum struct {
		at    location
		field protoreflect.FieldDescriptor
	}
	for _, method := range methods() {
		request, locations := fullRequest(t, method)
		var enums []enum
		for _, p := range locations {
			for field := range fieldsOf(p.message()) {
				if field.Enum() != nil && (field.ContainingOneof() == nil || p.in(request).Has(field)) {
					setEnum(p.in(request), field, unknownNumber(field.Enum()))
					enums = append(enums, enum{p, field})
				}
			}
		}
		slices.SortFunc(enums, func(a, b enum) int { return slices.Compare(a.at.order(a.field), b.at.order(b.field)) })
		for _, e := range enums {
			r.reject(t, "an unknown number", method, request.Interface(), unknownNumberError(e.at, e.field))
			setEnum(e.at.in(request), e.field, 1)
		}
		r.accept(t, method, request.Interface())
	}
}

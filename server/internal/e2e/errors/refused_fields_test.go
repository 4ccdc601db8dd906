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

// These tests go through every message that a request can hold, and put into
// each what this server doesn't know: a field's number, a name in JSON, an
// enum's number. One protocol after the other is used.

// What no message has.
const (
	unknownField     = protowire.Number(4321)
	lastUnknownField = unknownField + 1
	unknownName      = `"playfulness"`
)

// requests makes requests in turn by each client, and in each of the content
// types that hold JSON, to an upstream that answers everything.
type requests struct {
	front    *servertest.Front
	upstream *servertest.Upstream
	clients  []e2etest.Client
	turn     int
	used     map[string]int // for each kind of request, and protocol
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

// send makes a request by the next client that can.
func (r *requests) send(t *testing.T, kind string, method protoreflect.MethodDescriptor, request proto.Message) error {
	t.Helper()
	client := r.clients[r.turn%len(r.clients)]
	r.turn++
	if kind == "an unknown field" && client.Name == "Connect JSON" {
		return r.send(t, kind, method, request) // JSON has no such thing.
	}
	r.used[kind+" by "+client.Name]++
	c := e2etest.Call{Method: string(method.Name()), Request: request}
	if method.IsStreamingServer() {
		_, err := client.Stream(e2etest.Context(t), c, func(chunk *chatv1.ChatCompletionChunk) { t.Errorf("a chunk came: %v", chunk) })
		return err
	}
	// Answers are empty: any message can hold them.
	_, err := client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
	return err
}

// accept checks that a request comes to the upstream.
func (r *requests) accept(t *testing.T, method protoreflect.MethodDescriptor, request proto.Message) {
	t.Helper()
	if err := r.send(t, "nothing unknown", method, request); err != nil {
		t.Errorf("without what is unknown, the request fails: %v\n%v", err, request)
	}
	if got := r.upstream.Take(); len(got) != 1 {
		t.Errorf("the upstream received %d requests", len(got))
	}
}

// refuse checks that a request is refused with a message that says something,
// and that the upstream receives nothing.
func (r *requests) refuse(t *testing.T, kind string, method protoreflect.MethodDescriptor, request proto.Message, says string) {
	t.Helper()
	err := r.send(t, kind, method, request)
	if err == nil {
		t.Errorf("the request is accepted: %v", request)
	} else if failed := e2etest.AsRPCError(t, err); failed.Code != connect.CodeInvalidArgument || failed.Message != says {
		t.Errorf("the error is %v, not %q", failed, says)
	}
	r.receivedNothing(t)
}

// refuseJSON is refuse for a request in JSON, in the next content type.
func (r *requests) refuseJSON(t *testing.T, method protoreflect.MethodDescriptor, text, says string) {
	t.Helper()
	media := jsonMedia[r.turn%len(jsonMedia)]
	r.turn++
	if isUnary := !method.IsStreamingServer(); !strings.HasPrefix(media, "application/grpc") && isUnaryMedia(media) != isUnary {
		r.refuseJSON(t, method, text, says)
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
		t.Errorf("the upstream received %v", got)
	}
}

// checkUsed checks that each kind of request was made in every way.
func (r *requests) checkUsed(t *testing.T, ways int) {
	t.Helper()
	t.Logf("requests: %v", r.used)
	if len(r.used) != ways {
		t.Errorf("requests were made in %d ways, not %d: %v", len(r.used), ways, slices.Sorted(maps.Keys(r.used)))
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

func TestWhatIsUnknownInAnyMessageOfARequestIsRefused(t *testing.T) {
	t.Parallel()
	r := startRequests(t)
	visited := make(map[protoreflect.FullName]bool)
	places, enums := 0, 0
	for _, method := range methods() {
		for _, p := range placesOf(method) {
			places++
			visited[p.message().FullName()] = true
			t.Run(p.String(), func(t *testing.T) {
				request, _ := p.build(t)
				r.accept(t, method, request)
				r.refuseUnknownField(t, p)
				r.refuseUnknownName(t, p)
				for field := range fieldsOf(p.message()) {
					if field.Enum() != nil {
						enums++
						r.refuseUnknownNumber(t, p, field)
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
		t.Errorf("visited\n%v\nnot\n%v", slices.Sorted(maps.Keys(visited)), slices.Sorted(maps.Keys(reachable)))
	}
	t.Logf("%d messages in %d places, with %d enums", len(visited), places, enums)
	r.checkUsed(t, 3*len(r.clients)-1+len(jsonMedia)) // There is no unknown field in JSON.
}

// reach collects the messages that a message can hold, at any depth, and itself.
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

func (r *requests) refuseUnknownField(t *testing.T, p place) {
	t.Helper()
	request, at := p.build(t)
	addUnknown(at, unknownField, lastUnknownField)
	r.refuse(t, "an unknown field", p.method, request, saysUnknownField(p))
}

func addUnknown(m protoreflect.Message, numbers ...protowire.Number) {
	unknown := m.GetUnknown()
	for _, number := range numbers {
		unknown = protowire.AppendVarint(protowire.AppendTag(unknown, number, protowire.VarintType), 1)
	}
	m.SetUnknown(unknown)
}

func saysUnknownField(p place) string {
	path := p.path()
	if path != "" {
		path += ": "
	}
	return fmt.Sprintf("%s%s has no field number %d in this server's version: leave it out, or use a newer server",
		path, p.message().FullName(), unknownField)
}

func (r *requests) refuseUnknownNumber(t *testing.T, p place, field protoreflect.FieldDescriptor) {
	t.Helper()
	request, at := p.build(t)
	setEnum(at, field, 1)
	r.accept(t, p.method, request)
	number := unknownNumber(field.Enum())
	setEnum(at, field, number)
	r.refuse(t, "an unknown number", p.method, request, saysUnknownNumber(p, field))
}

func saysUnknownNumber(p place, field protoreflect.FieldDescriptor) string {
	return fmt.Sprintf("%s: %d is no value that this server knows", p.path(field), unknownNumber(field.Enum()))
}

func (r *requests) refuseUnknownName(t *testing.T, p place) {
	t.Helper()
	request, _ := p.build(t)
	tree := e2etest.JSONTree(t, request)
	object := p.inTree(t, &tree)
	if object.Kind != jsontree.Object {
		if name := p.message().FullName(); name != "google.protobuf.Timestamp" {
			t.Errorf("a %s is no object in JSON", name)
		}
		return
	}
	addName(object)
	text := string(tree.Append(nil, nil))
	r.refuseJSON(t, p.method, text, saysUnknownName(text))
}

// inTree is the message at the place in the request's JSON.
func (p place) inTree(t *testing.T, v *jsontree.Value) *jsontree.Value {
	t.Helper()
	for _, field := range p.fields {
		name := jsontree.Quote(string(field.Name()))
		i := slices.IndexFunc(v.Members, func(m jsontree.Member) bool { return m.Name == name })
		if i < 0 {
			t.Fatalf("%v: the JSON has no %s", p, name)
		}
		v = &v.Members[i].Value
		if field.IsList() {
			v = &v.Items[1]
		}
	}
	return v
}

// addName puts an unknown name before the other names of an object.
func addName(object *jsontree.Value) {
	unknown := jsontree.Member{Name: unknownName, Value: jsontree.Scalar(jsontree.Number, "1")}
	object.Members = append([]jsontree.Member{unknown}, object.Members...)
}

// saysUnknownName is what the error says of the first unknown name in a text,
// with its place there.
func saysUnknownName(text string) string {
	return fmt.Sprintf("(line 1:%d): unknown field %s", strings.Index(text, unknownName)+1, unknownName)
}

// TestTheFirstOfSeveralUnknownFieldsIsNamed puts an unknown field into all the
// messages that one request can hold at once. As each is taken out again, the
// next is named: an outer message before those in it, and these in the order of
// the schema.
func TestTheFirstOfSeveralUnknownFieldsIsNamed(t *testing.T) {
	t.Parallel()
	r := startRequests(t)
	for _, method := range methods() {
		request, places := fullRequest(t, method)
		for _, p := range places {
			addUnknown(p.in(request), unknownField, lastUnknownField)
		}
		for _, p := range places {
			r.refuse(t, "an unknown field", method, request.Interface(), saysUnknownField(p))
			p.in(request).SetUnknown(nil)
		}
		r.accept(t, method, request.Interface())
	}
}

// TestTheFirstOfSeveralUnknownNamesIsNamed is the same in JSON, where the first
// is the one that comes first.
func TestTheFirstOfSeveralUnknownNamesIsNamed(t *testing.T) {
	t.Parallel()
	r := startRequests(t)
	for _, method := range methods() {
		request, places := fullRequest(t, method)
		tree := e2etest.JSONTree(t, request.Interface())
		for _, p := range slices.Backward(places) {
			if object := p.inTree(t, &tree); object.Kind == jsontree.Object {
				addName(object)
			}
		}
		text := string(tree.Append(nil, nil))
		for strings.Contains(text, unknownName) {
			r.refuseJSON(t, method, text, saysUnknownName(text))
			before, after, _ := strings.Cut(text, unknownName+":1")
			text = before + strings.TrimPrefix(after, ",")
		}
		left := request.New().Interface()
		if err := protojson.Unmarshal([]byte(text), left); err != nil || !proto.Equal(left, request.Interface()) {
			t.Errorf("%s is left (%v), not %v", text, err, request)
		}
		r.accept(t, method, left)
	}
}

// TestTheFirstOfSeveralUnknownNumbersIsNamed sets every enum that one request
// can hold at once to a number that it lacks.
func TestTheFirstOfSeveralUnknownNumbersIsNamed(t *testing.T) {
	t.Parallel()
	r := startRequests(t)
	type enum struct {
		at    place
		field protoreflect.FieldDescriptor
	}
	for _, method := range methods() {
		request, places := fullRequest(t, method)
		var enums []enum
		for _, p := range places {
			for field := range fieldsOf(p.message()) {
				if field.Enum() != nil && (field.ContainingOneof() == nil || p.in(request).Has(field)) {
					setEnum(p.in(request), field, unknownNumber(field.Enum()))
					enums = append(enums, enum{p, field})
				}
			}
		}
		slices.SortFunc(enums, func(a, b enum) int { return slices.Compare(a.at.order(a.field), b.at.order(b.field)) })
		for _, e := range enums {
			r.refuse(t, "an unknown number", method, request.Interface(), saysUnknownNumber(e.at, e.field))
			setEnum(e.at.in(request), e.field, 1)
		}
		r.accept(t, method, request.Interface())
	}
}

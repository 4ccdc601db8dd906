package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"
)

// TestPlugin_AddingAFieldTakesOneLine adds a field to a message of the project, as a
// line such as
//
//	optional string sarcasm = 37;
//
// does. The generated code must gain the lines for the field without other changes.
func TestPlugin_AddingAFieldTakesOneLine(t *testing.T) {
	t.Parallel()
	const path = "openaiconnect/chat/v1/create_chat_completion"
	before, err := generated(files(), isOwn)
	if err != nil {
		t.Fatal(err)
	}
	with := files()
	index := strconv.Itoa(addLine(t, with, path+".proto", "CreateChatCompletionRequest", "sarcasm"))
	after, err := generated(with, isOwn)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range before {
		if name != path+"_rest.pb.go" && after[name] != text {
			t.Errorf("%s changed", name)
		}
	}
	removed, added := difference(before[path+"_rest.pb.go"], after[path+"_rest.pb.go"])
	if len(removed) > 0 {
		t.Errorf("removed lines:\n%s", strings.Join(removed, "\n"))
	}
	want := strings.Split(strings.TrimPrefix(`
		case "sarcasm":
			ok = o.Take(`+index+`) && d.OptionalString(&x.Sarcasm)
	if x.Sarcasm != nil {
		if e.Member(&o, `+index+`, `+"`\"sarcasm\":`"+`, true) {
			if err := e.String(*x.Sarcasm); err != nil {
				return restjson.Field("sarcasm", err)
			}
		}
	}
	case "sarcasm":
		return `+index, "\n"), "\n")
	if !slices.Equal(added, want) {
		t.Errorf("added lines:\n%s\nwant\n%s", strings.Join(added, "\n"), strings.Join(want, "\n"))
	}
}

// addLine adds an optional string to a message and returns the number of its
// previous fields, without extra_json.
func addLine(t *testing.T, files []*descriptorpb.FileDescriptorProto, path, message, name string) int {
	t.Helper()
	file := files[slices.IndexFunc(files, func(f *descriptorpb.FileDescriptorProto) bool { return f.GetName() == path })]
	for _, m := range file.GetMessageType() {
		if m.GetName() != message {
			continue
		}
		fields := len(m.GetField()) - 1
		m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
			Name: new(name), Number: new(int32(fields + 1)),
			Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			Proto3Optional: new(true), OneofIndex: new(int32(len(m.GetOneofDecl()))),
		})
		m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("_" + name)})
		return fields
	}
	t.Fatalf("%s has no message %s", path, message)
	return 0
}

// difference returns the lines that only one of before and after has, in order.
func difference(before, after string) (removed, added []string) {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	// length[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i, line := range slices.Backward(a) {
		for j, other := range slices.Backward(b) {
			if line == other {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			i++
			j++
		case length[i+1][j] >= length[i][j+1]:
			removed = append(removed, a[i])
			i++
		default:
			added = append(added, b[j])
			j++
		}
	}
	return append(removed, a[i:]...), append(added, b[j:]...)
}

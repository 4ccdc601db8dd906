package upstream_test

import (
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"

	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/proto/restjson/restjsontest"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// readFixture returns a fixture in testdata/upstreams.
func readFixture(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(path.Join("testdata", "upstreams", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// eventData returns the data of a stream's events before [DONE].
func eventData(stream string) (events []string) {
	stream = strings.ReplaceAll(strings.TrimPrefix(stream, "\uFEFF"), "\r\n", "\n")
	for block := range strings.SplitSeq(stream, "\n\n") {
		var data []string
		for line := range strings.Lines(block) {
			if value, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, strings.TrimSpace(value))
			}
		}
		if text := strings.Join(data, "\n"); text != "" && text != "[DONE]" {
			events = append(events, text)
		}
	}
	return events
}

// checkComplete checks that a message encodes to exactly what the upstream sent, and
// that extra_json fields keep its text.
func checkComplete(t *testing.T, sent string, m e2etest.RESTMessage) {
	t.Helper()
	again, err := restjson.AppendFull(nil, m)
	if err != nil {
		t.Errorf("encode the message: %v", err)
		return
	}
	if err := restjsontest.Kept([]byte(sent), again); err != nil {
		t.Errorf("%v\nsent: %s\ngot:  %s", err, sent, again)
	}
	err = protorange.Range(m.ProtoReflect(), func(values protopath.Values) error {
		last := values.Index(-1)
		if last.Step.Kind() != protopath.FieldAccessStep || last.Step.FieldDescriptor().Name() != "extra_json" {
			return nil
		}
		extra, err := jsontree.Parse([]byte(last.Value.String()))
		if err != nil {
			return err
		}
		rest := sent
		for _, member := range extra.Members {
			_, after, found := strings.Cut(rest, member.Text)
			if !found {
				t.Errorf("%s has %s, which was not sent, or not in this order: %s", values.Path, member.Text, sent)
			}
			rest = after
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// facts maps paths in a message's JSON form, such as `choices[0].message.content`, to
// values. A zero or absent value is empty. Paths in a stream start with the number of
// the chunk: `[0].choices`.
type facts map[string]string

func (f facts) check(t *testing.T, v jsontree.Value) {
	t.Helper()
	for path, want := range f {
		if got := fact(v, path); got != want {
			t.Errorf("got %s\n%s\nwant\n%s", path, got, want)
		}
	}
}

// fact returns the value at a path: the text of a string, or the JSON of other values.
func fact(v jsontree.Value, path string) string {
	for step := range strings.FieldsFuncSeq(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		if i, err := strconv.Atoi(step); err == nil && v.Kind == jsontree.Array {
			if i >= len(v.Items) {
				return ""
			}
			v = v.Items[i]
			continue
		}
		member, ok := v.Find(step)
		if !ok {
			return ""
		}
		v = member
	}
	if v.Kind == jsontree.String {
		return jsontree.Unquote(v.Text)
	}
	return string(v.Append(nil, nil))
}

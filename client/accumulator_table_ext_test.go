package client_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

var update = flag.Bool("update", false, "write testdata/accumulate.connect.jsonl")

// The table of streams shared by the accumulators of all languages.
//
// accumulate.json is the source, in OpenAI's JSON. A row has the deltas of one
// choice and the resulting message, or the chunks and the resulting completion.
// accumulate.connect.jsonl has the same rows as seen by a client of the Connect
// protocol, one per line, for clients without the codec. Compare an extra_json as
// JSON, not as a string.
const (
	tableFile   = "testdata/accumulate.json"
	connectFile = "testdata/accumulate.connect.jsonl"
)

// accumulateRow is a row of the table.
type accumulateRow struct {
	name   string
	chunks []*chatv1.ChatCompletionChunk
	want   *chatv1.ChatCompletion
}

func accumulateTable(tb testing.TB) []accumulateRow {
	tb.Helper()
	text, err := os.ReadFile(tableFile)
	if err != nil {
		tb.Fatal(err)
	}
	var rows []struct {
		Name                string
		Deltas, Chunks      []json.RawMessage
		Message, Completion json.RawMessage
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		tb.Fatal(err)
	}
	table := make([]accumulateRow, len(rows))
	for i, row := range rows {
		for _, delta := range row.Deltas {
			row.Chunks = append(row.Chunks, json.RawMessage(`{"choices":[{"index":0,"delta":`+string(delta)+`}]}`))
		}
		if row.Message != nil {
			row.Completion = json.RawMessage(`{"choices":[{"index":0,"message":` + string(row.Message) + `}]}`)
		}
		table[i] = accumulateRow{name: row.Name, want: new(chatv1.ChatCompletion)}
		for _, chunk := range row.Chunks {
			table[i].chunks = append(table[i].chunks, decoded(tb, string(chunk), new(chatv1.ChatCompletionChunk)))
		}
		decoded(tb, string(row.Completion), table[i].want)
	}
	return table
}

// decoded decodes OpenAI's JSON into a message.
func decoded[M restjson.Decodable](tb testing.TB, text string, message M) M {
	tb.Helper()
	if err := restjson.Unmarshal([]byte(text), message); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return message
}

// accumulated returns the completion of the chunks.
func accumulated(chunks []*chatv1.ChatCompletionChunk) *chatv1.ChatCompletion {
	var whole client.Accumulator
	for _, chunk := range chunks {
		whole.Add(chunk)
	}
	return whole.Completion()
}

// asJSON returns OpenAI's JSON of a message, decoded, so that escapes of strings do
// not matter.
func asJSON(tb testing.TB, reply restjson.Encodable) any {
	tb.Helper()
	text, err := restjson.AppendFull(nil, reply)
	if err != nil {
		tb.Fatal(err)
	}
	return values(tb, text)
}

// values decodes JSON. Unpaired surrogates stay distinguishable.
func values(tb testing.TB, text []byte) any {
	tb.Helper()
	var value any
	if err := json.Unmarshal(markHalves(text), &value); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return value
}

// markHalves replaces the escape of a surrogate with a unique string.
func markHalves(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte(`\\`), []byte(`\u005c`))
	for from := 0; ; {
		at := bytes.Index(text[from:], []byte(`\ud`))
		if at < 0 {
			return text
		}
		at += from
		var char string
		isPair := len(text) >= at+12 && json.Unmarshal([]byte(`"`+string(text[at:at+12])+`"`), &char) == nil && len([]rune(char)) == 1
		if isPair {
			from = at + 12
			continue
		}
		var half string
		_ = json.Unmarshal([]byte(`"`+string(text[at:at+6])+`"`), &half)
		if half == "\ufffd" {
			text = append(text[:at:at], append([]byte("<half "+string(text[at+2:at+6])+">"), text[at+6:]...)...)
		}
		from = at + 1
	}
}

func TestAccumulator_MatchesSharedTable(t *testing.T) {
	t.Parallel()
	for _, row := range accumulateTable(t) {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, want := asJSON(t, accumulated(row.chunks)), asJSON(t, row.want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%s\nwant\n%s", indent(t, got), indent(t, want))
			}
		})
	}
}

func TestAccumulator_SharedTableIsCurrent(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	for _, row := range accumulateTable(t) {
		line := map[string]any{"name": row.name, "completion": connectJSON(t, row.want)}
		chunks := make([]json.RawMessage, len(row.chunks))
		for i, chunk := range row.chunks {
			chunks[i] = connectJSON(t, chunk)
		}
		line["chunks"] = chunks
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(text, '\n'))
	}
	if *update {
		if err := os.WriteFile(connectFile, lines.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(connectFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, lines.Bytes()) {
		t.Errorf("%s is out of date: run this test with -update", connectFile)
	}
}

// connectJSON returns the JSON of a message in the Connect protocol, with stable
// white space.
func connectJSON(tb testing.TB, message proto.Message) json.RawMessage {
	tb.Helper()
	text, err := protojson.Marshal(message)
	if err != nil {
		tb.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		tb.Fatal(err)
	}
	return compact.Bytes()
}

func indent(tb testing.TB, value any) string {
	tb.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

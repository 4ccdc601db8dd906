package transcode

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

func TestOverhead_OfJSON(t *testing.T) {
	t.Parallel()
	const filler = minCounted
	for _, row := range []struct {
		text string
		want int64
	}{
		{`{"a":"` + strings.Repeat("{[,", filler) + `"}`, messageOverhead},
		{`{"a":"` + strings.Repeat(`\"{`, filler) + `"}`, messageOverhead},
		{`{"a":"` + strings.Repeat(`\\`, filler) + `","b":{}}`, 2*messageOverhead + elementOverhead},
		{strings.Repeat("[", filler), filler * messageOverhead},
		{strings.Repeat(",", filler), filler * elementOverhead},
		{`"` + strings.Repeat(`\`, filler), 0},
		{`"` + strings.Repeat(`\"`, filler), 0},
		{strings.Repeat(`"`, filler), 0},
		{strings.Repeat(`{`, 1000), 0},
		{"", 0},
	} {
		if got := jsonOverhead([]byte(row.text)); got != row.want {
			t.Errorf("overhead of %.20q… is %d, want %d", row.text, got, row.want)
		}
	}
}

func TestOverhead_OfBinary(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a", minCounted)
	for name, row := range map[string]struct {
		request *chatv1.CreateChatCompletionRequest
		want    int64
	}{
		"one text":      {&chatv1.CreateChatCompletionRequest{Messages: []*chatv1.Message{{Content: &text}}}, messageOverhead + elementOverhead},
		"messages":      {&chatv1.CreateChatCompletionRequest{Model: text, Messages: make([]*chatv1.Message, 100)}, 100 * (messageOverhead + elementOverhead)},
		"little of all": {&chatv1.CreateChatCompletionRequest{Messages: make([]*chatv1.Message, 100)}, 0},
	} {
		encoded, err := proto.Marshal(row.request)
		if err != nil {
			t.Fatal(err)
		}
		if got := binaryOverhead(encoded, row.request.ProtoReflect().Descriptor()); got != row.want {
			t.Errorf("overhead of %s is %d, want %d", name, got, row.want)
		}
	}
	descriptor := new(chatv1.CreateChatCompletionRequest).ProtoReflect().Descriptor()
	for _, broken := range []string{"\x0a\xff", "\xff", "\x0b", "\x00", "\x0a\x01\x0a"} {
		binaryOverhead([]byte(strings.Repeat(broken, minCounted)), descriptor) // does not panic
	}
}

package restjson_test

import (
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// chunks are chunks and other inputs with unusual names and strings.
func chunks() map[string]string {
	long := `"` + strings.Repeat("n", 40) + `":1,`
	var many strings.Builder
	for i := range 150 {
		many.WriteString(`"n` + strconv.Itoa(i) + `":` + strconv.Itoa(i) + `,`)
	}
	rest := `"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"created":1762550134}`
	return map[string]string{
		"plain":                      `{"id":"a","model":"m",` + rest,
		"another order":              `{"model":"m","id":"a",` + rest,
		"one member more":            `{"id":"a","service_tier":"flex","model":"m",` + rest,
		"one member fewer":           `{"model":"m",` + rest,
		"a longer name":              `{"id":"a","models":"m",` + rest,
		"a shorter name":             `{"id":"a","mode":"m",` + rest,
		"white space":                `{ "id" : "a" , "model" : "m" , ` + rest,
		"white space before a colon": `{"id" :"a","model" :"m",` + rest,
		"an escaped name":            `{"\u0069d":"a","mod\u0065l":"m",` + rest,
		"an unknown name":            `{"id":"a","largo":"m",` + rest,
		"a name that is not ASCII":   `{"id":"a","größe":"m",` + rest,
		"a long name":                `{` + long + `"id":"a","model":"m",` + rest,
		"many names":                 `{` + many.String() + `"id":"a","model":"m",` + rest,
		"a repeated name":            `{"id":"a","id":"a","model":"m",` + rest,
		"a longer string":            `{"id":"ab","model":"mn",` + rest,
		"a shorter string":           `{"id":"","model":"",` + rest,
		"an escaped string":          `{"id":"\u0061","model":"\u006d",` + rest,
		"a quote in a string":        `{"id":"a\",\"model\":\"m","model":"m",` + rest,
		"values of other types":      `{"id":1,"model":["m"],` + rest,
		"null":                       `{"id":null,"model":null,` + rest,
		"no member":                  `{}`,
		"a name at the end":          `{"id":"a","model":"m"}`,
		"no comma":                   `{"id":"a""model":"m",` + rest,
		"no colon":                   `{"id""a","model":"m",` + rest,
		"a brace for a comma":        `{"id":"a"{"model":"m",` + rest,
		"a comma too many":           `{"id":"a",,"model":"m",` + rest,
		"a comma at the beginning":   `{,"id":"a","model":"m",` + rest,
		"the data ends in a name":    `{"id":"a","mod`,
		"the data ends after a name": `{"id":"a","model":`,
		"the data ends in a string":  `{"id":"a","model":"m`,
		"invalid UTF-8 in a name":    "{\"id\":\"a\",\"m\xffdel\":\"m\"," + rest,
		"invalid UTF-8 in a string":  "{\"id\":\"a\",\"model\":\"\xff\"," + rest,
		"a control character":        "{\"id\":\"a\n\",\"model\n\":\"m\"," + rest,
	}
}

// TestMemberOrder_DoesNotAffectResults reads each message after each other message,
// from which a decoder predicts names and strings.
func TestMemberOrder_DoesNotAffectResults(t *testing.T) {
	t.Parallel()
	for name, text := range chunks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, before := range chunks() {
				checkAfter(t, []byte(before), []byte(text))
			}
		})
	}
}

func FuzzUnmarshaler(f *testing.F) {
	for _, text := range chunks() {
		f.Add([]byte(chunks()["plain"]), []byte(text))
	}
	f.Fuzz(checkAfter)
}

// checkAfter checks that text decodes alike after another text, repeated, and
// first.
func checkAfter(t *testing.T, before, text []byte) {
	t.Helper()
	want := new(chatv1.ChatCompletionChunk)
	wantErr := new(restjson.Unmarshaler).Unmarshal(text, want)
	var u restjson.Unmarshaler
	_ = u.Unmarshal(before, new(chatv1.ChatCompletionChunk))
	for range 2 {
		got := new(chatv1.ChatCompletionChunk)
		if err := u.Unmarshal(text, got); !sameError(err, wantErr) {
			t.Errorf("%s after %s: the error is %v, want %v", text, before, err, wantErr)
		}
		if wantErr == nil && !proto.Equal(got, want) {
			t.Errorf("%s after %s: got %v, want %v", text, before, got, want)
		}
	}
}

func sameError(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

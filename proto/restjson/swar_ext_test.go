package restjson_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// Strings are read and written eight bytes at once (SWAR). Special characters must
// be found at every position in the eight bytes and at every distance from the end.

// maxOffset is more than two words of eight bytes and a remainder.
const maxOffset = 20

func TestSWAR_FindsCharactersAtEveryPosition(t *testing.T) {
	t.Parallel()
	special := []string{"é", "日", "🙂", `"`, `\`, "\n", "\x00", "\x1f", "\x7f", "!", "#", "[", "]", "\x80", "\xff"}
	for before := range maxOffset {
		for after := range maxOffset {
			for _, c := range special {
				for _, second := range []string{"", c} {
					text := strings.Repeat("a", before) + c + strings.Repeat("b", after) + second
					checkText(t, text)
				}
			}
		}
	}
}

// checkText writes a string and reads it back, and reads it unescaped.
func checkText(t *testing.T, text string) {
	t.Helper()
	m := &chatv1.FunctionCall{Name: text}
	encoded, err := restjson.AppendFull(nil, m)
	if !utf8.ValidString(text) {
		if err == nil {
			t.Errorf("%q was written as %s", text, encoded)
		}
		return
	}
	var want struct{ Name string }
	if err != nil || json.Unmarshal(encoded, &want) != nil || want.Name != text {
		t.Errorf("%q was written as %s, with the error %v", text, encoded, err)
	}
	var again chatv1.FunctionCall
	if err := restjson.Unmarshal(encoded, &again); err != nil || again.GetName() != text {
		t.Errorf("%s was read as %q, with the error %v", encoded, again.GetName(), err)
	}
	bare := []byte(`{"name":"` + text + `","arguments":"x"}`)
	if err := restjson.Unmarshal(bare, new(chatv1.FunctionCall)); (err == nil) != json.Valid(bare) {
		t.Errorf("%q gave the error %v", bare, err)
	}
}

func TestBase64_EveryLength(t *testing.T) {
	t.Parallel()
	for n := range 3 * maxOffset {
		data := bytes.Repeat([]byte{0xfb, 0xf0, 0x00, 0x1f}, maxOffset)[:n]
		text := base64.StdEncoding.EncodeToString(data)
		encoded, err := restjson.AppendFull([]byte("before"), &chatv1.InputAudio{Data: data})
		if want := `before{"data":"` + text + `"`; err != nil || !strings.HasPrefix(string(encoded), want) {
			t.Errorf("got %s and %v, want %s", encoded, err, want)
		}
		var m chatv1.InputAudio
		if err := restjson.Unmarshal([]byte(`{"data":"`+text+`"}`), &m); err != nil || !bytes.Equal(m.GetData(), data) || m.GetExtraJson() != "" {
			t.Errorf("%s was read as %x and %s, with the error %v", text, m.GetData(), m.GetExtraJson(), err)
		}
	}
}

// TestBase64_RejectsErrorsAtEveryPosition puts every byte at every position of short
// inputs and of inputs long enough to be decoded in blocks.
func TestBase64_RejectsErrorsAtEveryPosition(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 12, 13, 14, 15, 33, 64, 70} {
		whole := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xA7}, size))
		for place := range whole {
			for c := range rune(0x101) {
				text := whole[:place] + string(c) + whole[place+1:]
				quoted, err := json.Marshal(text)
				if err != nil {
					t.Fatal(err)
				}
				var m chatv1.InputAudio
				if err := restjson.Unmarshal(fmt.Appendf(nil, `{"data":%s}`, quoted), &m); err != nil {
					t.Fatal(err)
				}
				want, err := base64.StdEncoding.Strict().DecodeString(text)
				isCanonical := err == nil && c != '\n' && c != '\r' // which the library skips
				if fits := m.GetExtraJson() == ""; fits != isCanonical || fits && !bytes.Equal(m.GetData(), want) {
					t.Errorf("%s was read as %x and %s", quoted, m.GetData(), m.GetExtraJson())
				}
			}
		}
	}
}

package transcode

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

func TestTruncate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"", 0, ""},
		{"whole", 5, "whole"},
		{"shortened", 8, "short…"},
		{"ééé", 5, "é…"},
		{"ééé", 6, "ééé"},
		{"🦜🦜", 7, "🦜…"},
		{"🦜🦜", 6, "…"},
		{"shortened", 3, "…"},
	} {
		if got := truncate(test.text, test.n); got != test.want {
			t.Errorf("truncate(%q, %d) is %q, not %q", test.text, test.n, got, test.want)
		}
	}
}

func TestExcerpt_IsTextWithinItsBound(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "short", strings.Repeat("x", maxExcerpt), strings.Repeat("x", maxExcerpt+1),
		strings.Repeat("é", maxExcerpt), "x" + strings.Repeat("🦜", maxExcerpt), strings.Repeat("\xff", 2*maxExcerpt),
		strings.Repeat("x", maxExcerpt-1) + "🦜",
	} {
		got := excerpt([]byte(text))
		if len(got) > maxExcerpt || !utf8.ValidString(got) {
			t.Errorf("the excerpt of %.20q… is %q", text, got)
		}
		if whole := utf8.ValidString(text) && len(text) <= maxExcerpt; whole != (got == text) {
			t.Errorf("the excerpt of %.20q… is %q", text, got)
		}
	}
}

// FuzzNewError checks that any error is encoded within the limit, can be decoded, and keeps
// as much as fits.
func FuzzNewError(f *testing.F) {
	long := strings.Repeat("x", 2000)
	f.Add("message", "type", "param", "code", "id", "excerpt", "member", int64(1))
	f.Add(long, "type", "", "", "", "", "", int64(0))
	f.Add("é", "", strings.Repeat("é", 700), strings.Repeat("🦜", 700), long, long, long, int64(1<<62))
	f.Add(strings.Repeat("%\n", 700), long, long, long, long, long, long, int64(-1))
	f.Fuzz(func(t *testing.T, message, kind, param, code, id, quoted, member string, delay int64) {
		for _, text := range []*string{&message, &kind, &param, &code, &id, &quoted, &member} {
			*text = strings.ToValidUTF8(*text, "") // ensured by the callers
		}
		extra, err := json.Marshal(map[string]string{"member": member})
		if err != nil {
			t.Fatal(err)
		}
		given := &restv1.Error{
			Message: message, Type: kind, Param: &param, Code: &code, RequestId: id, BodyExcerpt: quoted, ExtraJson: string(extra),
		}
		retry := time.Duration(delay)
		got := newError(connect.CodeInternal, proto.CloneOf(given), &retry)

		var details []proto.Message
		for _, detail := range got.Details() {
			decoded, err := connectproto.ErrorDetailToAny(detail).UnmarshalNew()
			if err != nil {
				t.Fatal(err)
			}
			details = append(details, decoded)
		}
		if len(details) != 2 {
			t.Fatalf("there are %d details", len(details))
		}
		if size := encodedSize(got.Code(), got.Message(), details); size > maxError {
			t.Errorf("it takes %d bytes", size)
		}
		detail, ok := details[0].(*restv1.Error)
		if !ok || detail.GetMessage() != got.Message() {
			t.Fatalf("the detail is %v, and the message %q", details[0], got.Message())
		}
		for _, text := range []struct{ got, given string }{
			{detail.GetMessage(), message},
			{detail.GetType(), kind},
			{detail.GetParam(), param},
			{detail.GetCode(), code},
			{detail.GetRequestId(), id},
			{detail.GetBodyExcerpt(), quoted},
		} {
			beginning, short := strings.CutSuffix(text.got, "…")
			if text.got != text.given && (!short || !strings.HasPrefix(text.given, beginning)) {
				t.Errorf("%q became %q", text.given, text.got)
			}
		}
		if got := detail.GetExtraJson(); got != "" && got != string(extra) {
			t.Errorf("the extra members became %q", got)
		}
		if small := encodedSize(connect.CodeInternal, message, []proto.Message{given}) < maxError-200; small && !proto.Equal(detail, given) {
			t.Errorf("%v became %v without need", given, detail)
		}
	})
}

func FuzzRetryDelay(f *testing.F) {
	for _, text := range []string{"", "1", "0.5", "-1", "1e400", "NaN", "Inf", "0x1p-2", "1_000", "Wed, 21 Oct 2015 07:28:00 GMT"} {
		f.Add(text, "")
		f.Add("", text)
	}
	f.Fuzz(func(t *testing.T, after, afterMs string) {
		delay := retryDelay(http.Header{"Retry-After": {after}, "Retry-After-Ms": {afterMs}})
		if delay != nil && *delay < 0 {
			t.Errorf("the delay is %v", *delay)
		}
	})
}

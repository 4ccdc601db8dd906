package usage_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openai-connect/openai-connect/server/usage"
)

// partWithHeader returns a part with the given header.
func partWithHeader(head, value string) string { return "--b\r\n" + head + "\r\n\r\n" + value + "\r\n" }

const plainModel = `Content-Disposition: form-data; name="model"`

func TestForm_IsCompleteIfUnambiguous(t *testing.T) {
	t.Parallel()
	allowed := partWithHeader(plainModel, "m")
	for _, row := range []struct {
		name, contentType, form string // the form without the last delimiter
		complete                bool
	}{
		{"as OpenAI's clients send it", "", allowed + file(8), true},
		{"without quotes, as .NET's clients send it", "", partWithHeader("Content-Disposition: form-data; name=model", "m") + partWithHeader("Content-Disposition: form-data; name=file; filename=a.mp3; filename*=utf-8''a.mp3", "x"), true},
		{"with types and lengths", "", partWithHeader("Content-Type: text/plain; charset=utf-8\r\n"+plainModel+"\r\ncontent-length: 1", "m"), true},
		{"with a file as Ruby's clients send it", "", allowed + partWithHeader("Content-Disposition: form-data; name=\"file\"; filename=\"ä;b.mp3\"\r\nContent-Length: 1\r\nContent-Type: audio/mpeg\r\nContent-Transfer-Encoding: binary", "x"), true},
		{"with lists", "", allowed + partWithHeader(`Content-Disposition: form-data; name="include[]"`, "x") + partWithHeader(`Content-Disposition: form-data; name="a[0][b-c.d_e]"`, "x"), true},
		{"after a line break", "", "\r\n" + allowed, true},
		{"with a quoted boundary", `multipart/form-data; boundary="b"`, allowed, true},
		{"with a boundary without quotes", `Multipart/Form-Data;boundary=b`, allowed, true},
		{"with a charset", `multipart/form-data; charset=UTF-8; boundary=b`, allowed, true},

		{"name* hides name", "", allowed + partWithHeader(plainModel+"; name*=utf-8''other", "x"), false},
		{"name* alone", "", allowed + partWithHeader("Content-Disposition: form-data; name*=utf-8''model", "x"), false},
		{"name in pieces", "", allowed + partWithHeader(`Content-Disposition: form-data; name*0="oth"; name*1="er"; name="model"`, "x"), false},
		{"two dispositions", "", allowed + partWithHeader("Content-Disposition: form-data; name=\"other\"\r\n"+plainModel, "x"), false},
		{"two dispositions in another case", "", allowed + partWithHeader("Content-Disposition: form-data; name=\"other\"\r\ncontent-disposition: form-data; name=\"model\"", "x"), false},
		{"two names", "", allowed + partWithHeader(`Content-Disposition: form-data; name="other"; name="model"`, "x"), false},
		{"another type", "", allowed + partWithHeader(`Content-Disposition: attachment; name="model"`, "x"), false},
		{"no type", "", allowed + partWithHeader(`Content-Disposition: name="model"`, "x"), false},
		{"single quotes", "", partWithHeader(`Content-Disposition: form-data; name='model'`, "x"), false},
		{"an escape", "", partWithHeader(`Content-Disposition: form-data; name="mo\del"`, "x"), false},
		{"a percent escape", "", partWithHeader(`Content-Disposition: form-data; name="mo%64el"`, "x"), false},
		{"a model as a file", "", partWithHeader(plainModel+`; filename="x"`, "m"), false},
		{"a semicolon in quotes", "", allowed + partWithHeader(`Content-Disposition: form-data; x="; name=other"; name="model"`, "x"), false},
		{"a parameter in a file name", "", allowed + partWithHeader(`Content-Disposition: form-data; name="file"; filename="a; name=model"`, "x"), false},
		{"an escaped quote in a file name", "", allowed + partWithHeader(`Content-Disposition: form-data; name="file"; filename="a\"; name="model"`, "x"), false},
		{"a folded line", "", allowed + partWithHeader("Content-Disposition: form-data;\r\n name=\"model\"", "x"), false},
		{"a tab", "", allowed + partWithHeader("Content-Disposition:\tform-data; name=\"model\"", "x"), false},
		{"a space before the colon", "", allowed + partWithHeader(`Content-Disposition : form-data; name="model"`, "x"), false},
		{"a name in capitals", "", allowed + partWithHeader(`Content-Disposition: form-data; NAME="model"`, "x"), false},
		{"a byte order mark", "", allowed + partWithHeader("Content-Disposition: form-data; name=\"\ufeffmodel\"", "x"), false},
		{"a space in the name", "", allowed + partWithHeader(`Content-Disposition: form-data; name="model "`, "x"), false},
		{"a null byte in the name", "", allowed + partWithHeader("Content-Disposition: form-data; name=\"model\x00\"", "x"), false},
		{"a list of models", "", allowed + partWithHeader(`Content-Disposition: form-data; name="model[]"`, "x"), false},
		{"no name", "", allowed + partWithHeader("Content-Type: text/plain", "x"), false},
		{"another field", "", allowed + partWithHeader(plainModel+"\r\nX-A: b", "x"), false},
		{"no field", "", allowed + partWithHeader(plainModel+"\r\nX-A", "x"), false},
		{"an encoding", "", partWithHeader(plainModel+"\r\nContent-Transfer-Encoding: base64", "eA=="), false},
		{"an encoding that changes nothing", "", partWithHeader(plainModel+"\r\nContent-Transfer-Encoding: 8bit", "x"), false},
		{"an encoding of another part", "", allowed + partWithHeader("Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Transfer-Encoding: base64", "eA=="), false},
		{"a charset of the model", "", partWithHeader(plainModel+"\r\nContent-Type: text/plain; charset=utf-16", "m"), false},
		{"a model that is JSON", "", partWithHeader(plainModel+"\r\nContent-Type: application/json", `"m"`), false},
		{"a charset of the form", "", partWithHeader(`Content-Disposition: form-data; name="_charset_"`, "utf-7") + allowed, false},
		{"a long head", "", allowed + partWithHeader(plainModel+strings.Repeat(" ", 5000), "x"), false},
		{"a model that is long", "", partWithHeader(plainModel, strings.Repeat("x", 257)), false},
		{"a session that is not JSON", "", allowed + partWithHeader(`Content-Disposition: form-data; name="session"`, "x"), false},
		{"options that are JSON", "", allowed + partWithHeader(`Content-Disposition: form-data; name="fallbacks"`, `["x"]`), false},

		{"line feeds alone", "", allowed + "--b\nContent-Disposition: form-data; name=\"model\"\n\nx\r\n", false},
		{"a line feed before a delimiter", "", allowed[:len(allowed)-2] + "\n" + partWithHeader(plainModel, "x"), false},
		{"a line feed in a head", "", allowed + "--b\r\nContent-Disposition: form-data; name=\"file\"\nX: y\r\n\r\nx\r\n", false},
		{"the boundary in a value", "", allowed + partWithHeader(`Content-Disposition: form-data; name="a"`, "x--b"), false},
		{"the boundary in a head", "", allowed + partWithHeader(`Content-Disposition: form-data; name="a"; filename="--b"`, "x"), false},
		{"spaces after a delimiter", "", "--b \r\n" + plainModel + "\r\n\r\nm\r\n", false},
		{"data after the end", "", allowed + "--b--\r\n" + partWithHeader(plainModel, "x"), false},
		{"data before the first delimiter", "", "x\r\n" + allowed, false},
		{"two line breaks at the beginning", "", "\r\n\r\n" + allowed, false},
		{"a value without its line break", "", "--b\r\n" + plainModel + "\r\n\r\n--b\r\n" + plainModel + "\r\n\r\nx\r\n", false},
		{"two boundaries", "multipart/form-data; boundary=b; boundary=c", allowed, false},
		{"two boundaries in other cases", "multipart/form-data; Boundary=b; boundary=c", allowed, false},
		{"another parameter", "multipart/form-data; xboundary=c; boundary=b", allowed, false},
		{"a boundary with an unusual character", `multipart/form-data; boundary="b'"`, strings.ReplaceAll(allowed, "--b", "--b'"), false},
		{"a boundary in pieces", "multipart/form-data; boundary*0=b", allowed, false},
		{"another kind of multipart", "multipart/mixed; boundary=b", allowed, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			contentType := row.contentType
			if contentType == "" {
				contentType = formOf
			}
			end := "--b--\r\n"
			if row.name == "a boundary with an unusual character" {
				end = "--b'--\r\n"
			}
			for _, wrap := range []func(io.Reader) io.Reader{unsplit, iotest.OneByteReader, iotest.HalfReader} {
				got, replay, err := usage.ReadRequest(t.Context(), "POST", speech, http.Header{"Content-Type": {contentType}}, wrap(strings.NewReader(row.form+end)), maximum)
				if err != nil || got.Complete != row.complete || got.Opaque == row.complete || row.complete && (got.Model != "m" || got.ModelCount != 1) {
					t.Errorf("ReadRequest() = %+v, %v, want complete %t", got, err, row.complete)
				}
				if again, err := io.ReadAll(replay); err != nil || string(again) != row.form+end {
					t.Errorf("got body %q, error %v, want the original", again, err)
				}
			}
		})
	}
}

func TestForm_FindsModelsInNestedFields(t *testing.T) {
	t.Parallel()
	form := part("session[model]", "m") + part("session[audio][input][transcription][model]", "a") + part("tools[0][model]", "b") +
		part("tools[][model]", "c") + part("metadata[model]", "free") + part("tools[0][parameters][model]", "free") + part("models[]", "d") + "--b--\r\n"
	got, _, err := usage.ReadRequest(t.Context(), "POST", speech, http.Header{"Content-Type": {formOf}}, strings.NewReader(form), maximum)
	if err != nil || !got.Complete || got.Model != "m" || strings.Join(got.OtherModels, "") != "abcd" {
		t.Errorf("ReadRequest() = %+v, %v", got, err)
	}
	for _, name := range []string{"model[]", "model[0]", "session[0][model]", "session", "extra_body[x"} {
		form := part("model", "m") + part(name, "x") + "--b--\r\n"
		got, _, err := usage.ReadRequest(t.Context(), "POST", speech, http.Header{"Content-Type": {formOf}}, strings.NewReader(form), maximum)
		if err != nil || got.Complete && name != "extra_body[x" {
			t.Errorf("with %s: ReadRequest() = %+v, %v", name, got, err)
		}
	}
}

func TestForm_FindsEveryModel(t *testing.T) {
	t.Parallel()
	form := part("session", `{"model":"a","audio":{"input":{"transcription":{"model":"b"}}},"tools":[{"parameters":{"model":"free"}}]}`) +
		part("target_model_names", "c, d") + part("fallbacks", "e") + part("metadata", `{"model":"free"}`) + "--b--\r\n"
	got, _, err := usage.ReadRequest(t.Context(), "POST", speech, http.Header{"Content-Type": {formOf}}, strings.NewReader(form), maximum)
	if err != nil || !got.Complete || got.Model != "a" || strings.Join(got.OtherModels, "") != "bcde" {
		t.Errorf("ReadRequest() = %+v, %v", got, err)
	}
}

// The rest of a long form is read while it is forwarded, so it must not name other models.
func TestForm_FailsAtAnotherModelAfterTheHead(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ target, rest string }{
		"another field":             {speech, part("models", "x") + "--b--\r\n"},
		"a session":                 {speech, part("session", `{"model":"x"}`) + "--b--\r\n"},
		"the model of a deployment": {"/openai/deployments/m/audio/transcriptions", part("model", "x") + "--b--\r\n"},
		"another spelling":          {speech, partWithHeader(plainModel+"; name*=utf-8''other", "x") + "--b--\r\n"},
		"data after the end":        {speech, "--b--\r\n" + part("model", "x")},
		"a missing last delimiter":  {speech, "--b\r\n" + plainModel + "\r\n\r\nx"},
		"a truncated form":          {speech, ""},
	} {
		form := part("model", "m") + part("stream", "false") + file(2*maximum) + row.rest
		if strings.Contains(row.target, "deployments") {
			form = file(2*maximum) + row.rest
		}
		got, replay, err := usage.ReadRequest(t.Context(), "POST", row.target, http.Header{"Content-Type": {formOf}}, strings.NewReader(form), maximum)
		if err != nil || !got.Complete || got.Model != "m" {
			t.Errorf("%s: ReadRequest() = %+v, %v", name, got, err)
			continue
		}
		if sent, err := io.ReadAll(replay); !errors.Is(err, usage.ErrForm) || row.rest != "" && len(sent) == len(form) {
			t.Errorf("%s: %d of %d bytes were read, with error %v, want ErrForm", name, len(sent), len(form), err)
		}
		replay.(io.Closer).Close()
	}
}

package policy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
)

// FuzzModelFilter filters any text. The result is JSON, and filtering it again removes
// nothing.
func FuzzModelFilter(f *testing.F) {
	for _, seed := range []string{
		`{"object":"list","data":[{"id":"a"}, {"id":"b"} ,{"id":"c"}],"more":[1]}`, `[{"id":"b"},"a"]`, `{"data":[[],{}]}`, `{"models":[{"name":"models/b"}]}x`, `{"data" : [ ] }`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		some, all := &clients.Client{Models: clients.Patterns{"a*"}}, &clients.Client{Models: clients.Patterns{"*"}}
		filtered, err := filterBody(t.Context(), some, nil, http.Header{}, text)
		if err != nil {
			return
		}
		if filtered != nil && !json.Valid(bytes.TrimPrefix(filtered, []byte("\ufeff"))) {
			t.Errorf("%q: got %q, want JSON", text, filtered)
		}
		if filtered != nil {
			if again, err := filterBody(t.Context(), some, nil, http.Header{}, filtered); err != nil || again != nil {
				t.Errorf("%q: got %q, and then %q, error %v, want no change", text, filtered, again, err)
			}
		}
		filter := modelFilter{decoder: json.NewDecoder(bytes.NewReader(text)), text: text, allows: all.AllowsModel}
		if whole, err := filter.list(); err == nil && len(whole) > len(text) {
			t.Errorf("%q: got a longer list %q, although all models are allowed", text, whole)
		}
	})
}

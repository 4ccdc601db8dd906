package restjson_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// ids are path parameters and their encodings.
var ids = []struct{ id, want string }{
	{"chatcmpl-AbC_123.~", "chatcmpl-AbC_123.~"},
	{"a/b", "a%2Fb"},
	{"../../models", "..%2F..%2Fmodels"},
	{"a?b=c", "a%3Fb=c"},
	{"a#b", "a%23b"},
	{"100%", "100%25"},
	{"%2e%2e", "%252e%252e"},
	{"a b", "a%20b"},
	{"a+b", "a+b"},
	{"a;b,c", "a%3Bb%2Cc"},
	{"[a]", "%5Ba%5D"},
	{`a\b`, "a%5Cb"},
	{"...", "..."},
	{".a", ".a"},
	{"é🙂", "%C3%A9%F0%9F%99%82"},
	{"a\x00\r\nb", "a%00%0D%0Ab"},
	{"\xff", "%FF"},
}

func TestAppendPathSegment_Escapes(t *testing.T) {
	t.Parallel()
	for _, row := range ids {
		got, err := restjson.AppendPathSegment([]byte("/v1/"), "id", row.id)
		if err != nil || string(got) != "/v1/"+row.want {
			t.Errorf("%q: got %s, %v", row.id, got, err)
		}
	}
}

func TestAppendPathSegment_RejectsOtherResources(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"":   "completion_id: is required",
		".":  `completion_id: "." is not a valid ID`,
		"..": `completion_id: ".." is not a valid ID`,
	} {
		_, err := restjson.AppendPathSegment(nil, "completion_id", id)
		checkFieldError(t, err, want)
	}
}

// FuzzPathSegment parses the segment of an ID as servers do.
func FuzzPathSegment(f *testing.F) {
	for _, row := range ids {
		f.Add(row.id)
	}
	f.Add("")
	f.Add("..")
	f.Fuzz(func(t *testing.T, id string) {
		target, err := restjson.AppendPathSegment([]byte("/v1/chat/completions/"), "id", id)
		if refused := id == "" || id == "." || id == ".."; refused != (err != nil) {
			t.Fatalf("%q: %v", id, err)
		}
		if err != nil {
			return
		}
		u, err := url.ParseRequestURI(string(target) + "/messages?limit=1")
		if err != nil {
			t.Fatal(err)
		}
		segments := strings.Split(u.EscapedPath(), "/")
		if len(segments) != 6 || u.RawQuery != "limit=1" || u.Fragment != "" {
			t.Fatalf("%q was written as %s", id, target)
		}
		if back, err := url.PathUnescape(segments[4]); err != nil || back != id {
			t.Fatalf("%q came back as %q, %v", id, back, err)
		}
		// Cleaning the path must not change it.
		if clean := u.JoinPath(); clean.EscapedPath() != u.EscapedPath() {
			t.Fatalf("%q was written as %s, which is cleaned to %s", id, target, clean)
		}
	})
}

func TestQuery_Appends(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		write func(q *restjson.Query, b []byte) ([]byte, error)
		want  string
	}{
		{"nothing", func(q *restjson.Query, b []byte) ([]byte, error) {
			return q.AddExtra(q.AddMap(b, "metadata", nil), "extra_query", nil)
		}, ""},
		{"parameters in the order in which they are added", func(q *restjson.Query, b []byte) ([]byte, error) {
			return q.Add(q.Add(b, "model", "gpt-5.4"), "after", "x"), nil
		}, "?model=gpt-5.4&after=x"},
		{"an empty value", func(q *restjson.Query, b []byte) ([]byte, error) {
			return q.Add(b, "after", ""), nil
		}, "?after="},
		{"special characters of queries are escaped", func(q *restjson.Query, b []byte) ([]byte, error) {
			return q.Add(b, "a&b", "c=d e+f#g%h;i?é\n"), nil
		}, "?a%26b=c%3Dd+e%2Bf%23g%25h%3Bi%3F%C3%A9%0A"},
		{"a map in brackets, sorted by key", func(q *restjson.Query, b []byte) ([]byte, error) {
			return q.AddMap(q.Add(b, "model", "m"), "metadata", map[string]string{"b": "2", "a[0]": "1", "": "3"}), nil
		}, "?model=m&metadata%5B%5D=3&metadata%5Ba%5B0%5D%5D=1&metadata%5Bb%5D=2"},
		{"further parameters, sorted by name", func(q *restjson.Query, b []byte) ([]byte, error) {
			return q.AddExtra(q.Add(b, "limit", "5"), "extra_query", map[string]string{"z": "1", "include[]": "a b"})
		}, "?limit=5&include%5B%5D=a+b&z=1"},
		{"further parameters alone", func(q *restjson.Query, b []byte) ([]byte, error) {
			return q.AddExtra(b, "extra_query", map[string]string{"limit": "five"})
		}, "?limit=five"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var q restjson.Query
			got, err := row.write(&q, []byte("/v1"))
			if err != nil || string(got) != "/v1"+row.want {
				t.Errorf("got %s, %v\nwant /v1%s", got, err, row.want)
			}
		})
	}
}

func TestQuery_RejectsTypedFieldsInExtra(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"limit", "metadata[k]"} {
		var q restjson.Query
		b := q.AddMap(q.Add(nil, "limit", "5"), "metadata", map[string]string{"k": "v"})
		_, err := q.AddExtra(b, "extra_query", map[string]string{"a": "b", name: "6"})
		checkFieldError(t, err, `extra_query: "`+name+`" is also set as a typed field: remove one`)
	}
}

// FuzzQuery parses the query of any parameters as servers do.
func FuzzQuery(f *testing.F) {
	f.Add("model", "gpt-5.4", "k", "v", "limit", "5")
	f.Add("", "", "", "", "", "")
	f.Add("a&b", "c=d e+f", "[", "]", "a&b", "#")
	f.Add("metadata[k]", "é", "k", "\xff", "\x00", "%")
	f.Fuzz(func(t *testing.T, name, value, key, keyed, extra, further string) {
		var q restjson.Query
		target := q.AddMap(q.Add([]byte("/v1"), name, value), "metadata", map[string]string{key: keyed})
		mapped := "metadata[" + key + "]"
		target, err := q.AddExtra(target, "extra_query", map[string]string{extra: further})
		if repeated := extra == name || extra == mapped; repeated != (err != nil) {
			t.Fatalf("%q after %q and %q: %v", extra, name, mapped, err)
		}
		if err != nil {
			return
		}
		u, err := url.ParseRequestURI(string(target))
		if err != nil || u.Path != "/v1" || u.Fragment != "" {
			t.Fatalf("%s: %v, %v", target, u, err)
		}
		got, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{}
		want.Add(name, value)
		want.Add(mapped, keyed)
		want.Add(extra, further)
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s: got %v, want %v", target, got, want)
		}
	})
}

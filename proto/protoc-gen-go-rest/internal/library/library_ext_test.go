package library_test

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/proto/protoc-gen-go-rest/internal/library"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

type codec interface {
	proto.Message
	restjson.Decodable
	restjson.Encodable
}

var (
	aBook  = (*library.Book)(nil)
	aPrice = (*library.Price)(nil)
	aState = (*library.State)(nil)
	aGrid  = (*library.Grid)(nil)
	event  = (*library.Event)(nil)
	aNote  = (*library.Note)(nil)
)

// head and foot are the beginning and the end of every book's JSON.
const (
	head = `{"object":"book","version":2,"format":{"paper": true},`
	must = `"title":"T","cover":{},"genre":"poetry","genres":[],"year":0,"image":"","seal":null,"lent":null,`
	foot = `"loans":0}`
	typ  = `title: "T" cover: {} genre: GENRE_POETRY `
)

func TestLibrary_Codec(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		kind codec
		rest string
		// typed is the message in Protobuf's text format.
		typed string
		// full is the message in a response, if it isn't rest, and request is the
		// message in a request.
		full, request string
	}{
		{
			"required members", aBook, head + must + `"grade":0,` + foot, typ,
			"", head + must + `"grade":0}`,
		},
		{
			"required members that have a value", aBook,
			head + `"title":"T","cover":{"color":""},"genre":"sci-fi","genres":["poetry","sci-fi"],"year":-9007199254740993,"image":"AA==","seal":"","lent":false,"grade":-1,"loans":3}`,
			`title: "T" cover: { color: "" } genre: GENRE_SCI_FI genres: GENRE_POETRY genres: GENRE_SCI_FI year: -9007199254740993 image: "\x00" seal: "" lent: false grade: -1 loans: 3`,
			"", head + `"title":"T","cover":{"color":""},"genre":"sci-fi","genres":["poetry","sci-fi"],"year":-9007199254740993,"image":"AA==","seal":"","lent":false,"grade":-1}`,
		},
		{
			"a condition that doesn't hold", aBook, head + `"title":"T","cover":{},"genre":"sci-fi","genres":[],"year":0,"image":"","seal":null,"lent":null,"grade":0,` + foot,
			`title: "T" cover: {} genre: GENRE_SCI_FI`,
			"", head + `"title":"T","cover":{},"genre":"sci-fi","genres":[],"year":0,"image":"","seal":null,"grade":0}`,
		},
		{
			"plain fields and lists of every type", aBook,
			head + must + `"heavy":true,"weight":1.5,"stamp":"AA==","chunks":["","AAE="],"octets":[[],[0,255]],"printed":[1,-1],"pages":[1,-9223372036854775808],"weights":[0.5,-0],"flags":[true,false],"covers":[{},{"color":"red"}],"grade":0,` + foot,
			typ + `heavy: true weight: 1.5 stamp: "\x00" chunks: "" chunks: "\x00\x01" octets: "" octets: "\x00\xff" printed: { seconds: 1 } printed: { seconds: -1 } pages: 1 pages: -9223372036854775808 weights: 0.5 weights: -0 flags: true flags: false covers: {} covers: { color: "red" }`,
			"", head + must + `"heavy":true,"weight":1.5,"stamp":"AA==","chunks":["","AAE="],"octets":[[],[0,255]],"printed":[1,-1],"pages":[1,-9223372036854775808],"weights":[0.5,-0],"flags":[true,false],"covers":[{},{"color":"red"}],"grade":0}`,
		},
		{
			"a single message instead of a list", aBook, head + must + `"covers":{"color":"red"},"grade":0,` + foot, typ + `covers: { color: "red" }`,
			head + must + `"covers":[{"color":"red"}],"grade":0,` + foot, head + must + `"covers":[{"color":"red"}],"grade":0}`,
		},
		{
			"maps of every type", aBook,
			head + must + `"labels":{"a":"sci-fi","b":"poetry"},"blobs":{"":"AA=="},"dates":{"d":5},"notes":{"n":{"kind":"long","lines":[{"text":"x"}]}},"schemas":{"s":{ "z":1, "a":2}},"grade":0,` + foot,
			typ + `labels: { key: "a" value: GENRE_SCI_FI } labels: { key: "b" value: GENRE_POETRY } blobs: { key: "" value: "\x00" } dates: { key: "d" value: { seconds: 5 } } notes: { key: "n" value: { kind: KIND_LONG lines: { text: "x" } } } schemas_json: { key: "s" value: '{ "z":1, "a":2}' }`,
			"", head + must + `"labels":{"a":"sci-fi","b":"poetry"},"blobs":{"":"AA=="},"dates":{"d":5},"notes":{"n":{"kind":"long","lines":[{"text":"x"}]}},"schemas":{"s":{ "z":1, "a":2}},"grade":0}`,
		},
		{
			"mismatched maps", aBook, head + must + `"grade":0,"loans":0,"labels":{"a":"prose"},"blobs":{"b":"!"},"dates":{"d":0.5},"notes":{"n":1},"schemas":{"s":[]}}`,
			typ + `extra_json: '{"labels":{"a":"prose"},"blobs":{"b":"!"},"dates":{"d":0.5},"notes":{"n":1},"schemas":{"s":[]}}'`,
			"", head + must + `"grade":0,"labels":{"a":"prose"},"blobs":{"b":"!"},"dates":{"d":0.5},"notes":{"n":1},"schemas":{"s":[]}}`,
		},
		{
			"a constant with another value", aBook, `{"object":"book",` + must + `"grade":0,"loans":0,"version":3,"format":{"paper":true}}`,
			typ + `extra_json: '{"version":3,"format":{"paper":true}}'`,
			"", `{"object":"book",` + must + `"grade":0,"version":3,"format":{"paper":true}}`,
		},
		{
			"a member as one message", aBook, head + must + `"price":"free","grade":0,` + foot, typ + `price: { word: "free" }`,
			"", head + must + `"price":"free","grade":0}`,
		},
		{
			"a member as a list of messages", aBook, head + must + `"price":["free",{"type":"points","points":5}],"grade":0,` + foot, typ + `prices: { word: "free" } prices: { points: 5 }`,
			"", head + must + `"price":["free",{"type":"points","points":5}],"grade":0}`,
		},
		{
			"a list under its alias", aBook, head + must + `"grade":7,"all_grades":[1,2],"` + "`o\\\"d\\\\d\\u0007\\u003c" + `":"x",` + foot, typ + `grade: 7 grades: 1 grades: 2 odd: "x"`,
			"", "-",
		},
		{
			"names that are not Go identifiers", aBook, head + must + `"grade":0,"` + "`o\\\"d\\\\d\\u0007\\u003c" + `":"x",` + foot, typ + `odd: "x"`,
			"", head + must + `"grade":0,"` + "`o\\\"d\\\\d\\u0007\\u003c" + `":"x"}`,
		},
		{
			"arrays in arrays", aBook, head + must + `"grade":0,"grid":[[1,2],[],[0.5]],` + foot, typ + `grid: { rows: { cells: 1 cells: 2 } rows: {} rows: { cells: 0.5 } }`,
			"", head + must + `"grade":0,"grid":[[1,2],[],[0.5]]}`,
		},
		{
			"mismatched arrays in arrays", aBook, head + must + `"grade":0,"loans":0,"grid":[[1,2],{}]}`, typ + `extra_json: '{"grid":[[1,2],{}]}'`,
			"", head + must + `"grade":0,"grid":[[1,2],{}]}`,
		},
		{
			"one member of a set", aBook, head + must + `"grade":0,"person":"",` + foot, typ + `person: ""`,
			"", head + must + `"grade":0,"person":""}`,
		},
		{
			"one member of a set twice", aBook, head + must + `"grade":0,"company":{},"loans":0,"person":"p"}`, typ + `company: {} extra_json: '{"person":"p"}'`,
			"", head + must + `"grade":0,"company":{},"person":"p"}`,
		},
		{
			"a field of the typed API only", aBook, head + must + `"grade":0,"loans":0,"secret":"s"}`, typ + `extra_json: '{"secret":"s"}'`,
			"", head + must + `"grade":0,"secret":"s"}`,
		},
		{"an array alone", aGrid, `[[1],[]]`, `rows: { cells: 1 } rows: {}`, "", ""},
		{"a payload that is a number", aPrice, `{"type":"points","points":-1}`, `points: -1`, "", ""},
		{"a payload that is a boolean", aPrice, `{"type":"exact","exact":false,"x":1}`, `exact: false extra_json: '{"x":1}'`, "", ""},
		{"a union without payloads", aState, `{"is":"closed"}`, `closed: {}`, "", ""},
		{"a union without payloads, with more", aState, `{"is":"open","open":{}}`, `open: {} extra_json: '{"open":{}}'`, "", ""},
		{"a union without payloads, of another kind", aState, `{"is":"ajar"}`, `extra_json: '{"is":"ajar"}'`, "", ""},
		{"a member that two payloads have, in one", event, `{"event":"added","title":"T","copies":2,"by":"me"}`, `added: { title: "T" copies: 2 } by: "me"`, "", ""},
		{"a member that two payloads have, in the other", event, `{"event":"gone","reason":"","title":"T"}`, `gone: { title: "T" }`, "", ""},
		{"a member of the other payload", event, `{"event":"added","title":"","reason":"r"}`, `added: {} extra_json: '{"reason":"r"}'`, "", ""},
		{"a payload without its tag", event, `{"event":"gone","reason":"r","title":""}`, `gone: { reason: "r" }`, "", ""},
		{"messages and enums in messages", aNote, `{"kind":"long","lines":[{"text":"a"},{}]}`, `kind: KIND_LONG lines: { text: "a" } lines: {}`, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			want := blank(row.kind)
			if err := prototext.Unmarshal([]byte(row.typed), want); err != nil {
				t.Fatal(err)
			}
			got := blank(row.kind)
			if err := restjson.Unmarshal([]byte(row.rest), got); err != nil && row.rest[0] == '{' {
				t.Fatal(err)
			}
			if !proto.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			full, err := restjson.AppendFull(nil, want)
			if expected := either(row.full, row.rest); err != nil || string(full) != expected {
				t.Errorf("in a response:\ngot  %s, %v\nwant %s", full, err, expected)
			}
			if row.request == "-" {
				return
			}
			request, err := restjson.AppendRequest(nil, want, nil)
			if expected := either(row.request, row.rest); err != nil || string(request) != expected {
				t.Errorf("in a request:\ngot  %s, %v\nwant %s", request, err, expected)
			}
		})
	}
}

func either(text, fallback string) string {
	if text != "" {
		return text
	}
	return fallback
}

func blank(kind codec) codec { return kind.ProtoReflect().New().Interface().(codec) }

func TestLibrary_RejectsInvalidRequests(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, typed, want string }{
		{"no title", `cover: {} genre: GENRE_POETRY`, "title: is required"},
		{"no cover", `title: "T" genre: GENRE_POETRY`, "cover: is required"},
		{"no genre", `title: "T" cover: {}`, "genre: is required"},
		{"two forms", typ + `price: {} prices: {}`, "prices: cannot be set together with price"},
		{"two forms of numbers", typ + `grade: 1 grades: 2`, "grades: cannot be set together with grade"},
		{"an enum in a map", typ + `labels: { key: "a.b" value: 9 }`, `labels["a.b"]: 9 is not a known value`},
		{"a number in an array in an array", typ + `grid: { rows: {} rows: { cells: 1 cells: nan } }`, "grid.rows[1].cells[1]: is a number that JSON cannot represent"},
		{"a payload that isn't there", typ + `state: {}`, "state: one of open, closed is required"},
		{"a time in a list", typ + `printed: { nanos: 1 }`, "printed[0]: must be whole seconds"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			book := new(library.Book)
			if err := prototext.Unmarshal([]byte(row.typed), book); err != nil {
				t.Fatal(err)
			}
			_, err := restjson.AppendRequest(nil, book, nil)
			if field, ok := errors.AsType[*restjson.FieldError](err); !ok || field.Error() != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		})
	}
}

func TestLibrary_AbsentFixedMember(t *testing.T) {
	t.Parallel()
	book := &library.Book{Title: "T", Cover: &library.Cover{}, Genre: library.Genre_GENRE_POETRY}
	op := operation(t, "AddBook")
	got, err := restjson.AppendRequest(nil, book, op.Fixed)
	if want := head + must + `"grade":0,"draft":false}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	book.ExtraJson = `{"dry_run":true}`
	if _, err := restjson.AppendRequest(nil, book, op.Fixed); err == nil {
		t.Error("want an error")
	}
}

func TestLibrary_Operations(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		rpc     string
		request proto.Message
		method  string
		target  string
	}{
		{"SearchBooks", &library.SearchBooksRequest{Shelf: "a"}, "GET", "/v1/shelves/a/books"},
		{
			"SearchBooks", &library.SearchBooksRequest{
				Shelf: "a/b", Text: "c d", Year: new(int64(-1)), Count: 2, Exact: new(false), Available: true,
				Genre: library.Genre_GENRE_SCI_FI, Filter: map[string]string{"k": "v"},
			},
			"GET", "/v1/shelves/a%2Fb/books?q=c+d&year=-1&count=2&exact=false&available=true&genre=sci-fi&filter%5Bk%5D=v",
		},
		{"RemoveBook", &library.RemoveBookRequest{Shelf: "a", Id: "b"}, "DELETE", "/v1/shelves/a/books/b/copies"},
		{"AddBook", &library.Book{}, "POST", "/v1/books"},
	} {
		op := operation(t, row.rpc)
		target, err := op.Target(nil, row.request)
		if err != nil || string(target) != row.target || op.Method != row.method {
			t.Errorf("%s: got %s %s, %v", row.rpc, op.Method, target, err)
		}
	}
	if _, err := operation(t, "RemoveBook").Target(nil, &library.RemoveBookRequest{Shelf: "a"}); err == nil || err.Error() != "id: is required" {
		t.Errorf("got %v", err)
	}
	if slices.ContainsFunc(library.LibraryServiceREST(), func(op restjson.Operation) bool { return op.Procedure == "/library.v1.LibraryService/Ping" }) {
		t.Error("Ping has an operation")
	}
}

func TestLibrary_Stream(t *testing.T) {
	t.Parallel()
	stream := operation(t, "ReadBook").Stream
	var progress restjson.Progress
	for _, page := range []string{`{"columns":[{"no":1},{"no":2,"ended_by":"poetry"}]}`, `{"columns":[{"no":1,"ended_by":"prose"}]}`} {
		message := new(library.Page)
		if err := restjson.Unmarshal([]byte(page), message); err != nil {
			t.Fatal(err)
		}
		stream.Track(&progress, message)
	}
	if count := stream.Count(&library.Book{ColumnCount: 2}); count != 2 || !progress.Complete(count) || stream.Done != "[END]" {
		t.Errorf("got %d of %+v until %s", count, progress, stream.Done)
	}
}

func operation(t *testing.T, rpc string) *restjson.Operation {
	t.Helper()
	operations := library.LibraryServiceREST()
	i := slices.IndexFunc(operations, func(op restjson.Operation) bool { return op.Procedure == "/library.v1.LibraryService/"+rpc })
	if i < 0 {
		t.Fatalf("%s has no operation", rpc)
	}
	return &operations[i]
}

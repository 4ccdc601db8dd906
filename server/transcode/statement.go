package transcode

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// Servers state errors in answers of status 200, each in a form of its own. What
// is read here are the members of an answer that the API doesn't have.

// statement is what an answer of status 200 says of an error.
type statement struct {
	envelope bool // OpenAI's `error`, or the `object` that is an error
	failure  bool // in another form: a code or a flag says so for certain
	word     bool // a code or type that is a failure if there is a message
	message  bool
	detail   bool // FastAPI's
}

// The names by which errors have their code and message.
var (
	codeNames = map[string]bool{
		"code": true, "error_code": true, "errorCode": true, "errcode": true, "err_code": true, "errno": true, "err_no": true,
		"status_code": true, "statusCode": true, "ret": true, "retcode": true, "ret_code": true,
	}
	messageNames = []string{
		"message", "msg", "error_msg", "error_message", "errorMessage", "errmsg", "err_msg", "errMsg", "status_msg", "status_message",
		"ret_msg", "error_description", "detail", "reason",
	}
)

// stated reads the members of an answer that it has no field for.
func stated(extraJSON string) (s statement) {
	for name, value := range restjson.ExtraMembers(extraJSON) {
		says := restjson.Says(value)
		switch {
		case !says && value != "false":
		case name == "error":
			s.error(value)
		case name == "errors":
			s.failure = s.failure || value != "[]" && value != "{}"
		case name == "object":
			s.envelope = s.envelope || value == `"error"`
		case name == "success", name == "ok":
			s.failure = s.failure || value == "false"
		case name == "base_resp", name == "baseResp":
			s.base(value)
		case codeNames[name]:
			s.code(value)
		case name == "type", name == "status", name == "error_type", name == "__type":
			s.kind(value)
		case name == "detail":
			s.detail = true
		case isMessageName(name):
			s.message = true
		}
	}
	return s
}

func isMessageName(name string) bool {
	return slices.Contains(messageNames, name)
}

// error reads the member of that name, which says something.
func (s *statement) error(value string) {
	switch value[0] {
	case '{':
		s.envelope = s.envelope || saysError(json.RawMessage(value))
	case '[':
		var list []json.RawMessage
		_ = json.Unmarshal([]byte(value), &list)
		for _, each := range list {
			s.failure = s.failure || each[0] == '{' && saysError(each) || each[0] == '"' && len(each) > 2
		}
	case '"':
		s.envelope = s.envelope || !isSuccess(value)
	default: // true, or a number
		s.failure = s.failure || value == "true" || value != "false" && !isSuccess(value)
	}
}

// saysError reports whether an error says anything, and not that all is well.
func saysError(value json.RawMessage) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return true
	}
	says := false
	for name, member := range members {
		if !restjson.Says(string(member)) {
			continue
		}
		if codeNames[name] && isSuccess(string(member)) {
			return false
		}
		says = true
	}
	return says
}

// base reads MiniMax's.
func (s *statement) base(value string) {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &members) != nil {
		return
	}
	for name, member := range members {
		if codeNames[name] && restjson.Says(string(member)) {
			s.failure = s.failure || !isSuccess(string(member))
		}
	}
}

func (s *statement) code(value string) {
	switch {
	case isSuccess(value), value == "false":
	case value[0] == '"' && !isNumber(value):
		s.word = true
	case value[0] == '"' || value[0] == '-' || '0' <= value[0] && value[0] <= '9':
		s.failure = true
	}
}

func (s *statement) kind(value string) {
	word := strings.ToLower(value)
	for _, failure := range []string{"error", "fail", "exception", "invalid", "denied"} {
		s.word = s.word || value[0] == '"' && strings.Contains(word, failure)
	}
	if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil {
		s.word = s.word || n >= 400
	}
}

func isNumber(value string) bool {
	_, err := strconv.ParseFloat(strings.Trim(value, `" `), 64)
	return err == nil
}

// isSuccess reports whether the JSON of a code says that all is well.
func isSuccess(value string) bool {
	text := strings.ToLower(strings.Trim(value, `" `))
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n == 0 || n >= 200 && n < 300
	}
	switch text {
	case "success", "succeeded", "successful", "ok", "true", "normal", "completed":
		return true
	}
	return false
}

// errorInside is the error that a 2xx answer states in its body, if it does: one
// that OpenAI's API could send, or one in a form of a server's own that comes
// without output.
func (op *operation) errorInside(response *http.Response, body []byte, message restjson.Response) error {
	extra := message.GetExtraJson()
	if extra != "" {
		s := stated(extra)
		isError := s.envelope
		if !isError && (s.failure || s.word && s.message || s.word && s.detail) {
			isError = !op.hasOutput(message)
		}
		if !isError && (s.detail || s.message && op.Stream == nil) {
			isError = !hasFields(message)
		}
		if isError {
			return statedError(response, body, extra)
		}
	}
	if op.Stream != nil || op.items == nil || !bytes.Contains(body, []byte(`"error"`)) {
		return nil
	}
	return op.itemsError(response, body, message)
}

// statedError is the error that a body states, with the members that it has
// beside the API's.
func statedError(response *http.Response, body []byte, extraJSON string) error {
	detail := parseError(body)
	if detail == nil {
		detail = &restv1.Error{ExtraJson: extraJSON, BodyExcerpt: excerpt(body)}
	}
	return answerError(errorCode(detail), response, detail, body)
}

// items says by which members the items of an answer are found, told apart, and
// have their output.
type items struct{ list, key, output string }

// each calls do with each item of a message: its key, the error that it states,
// as JSON, and whether it has output.
func (of *items) each(message proto.Message, do func(key int32, failure string, hasOutput bool)) {
	m := message.ProtoReflect()
	list := fieldOf(m.Descriptor(), of.list)
	key, output := fieldOf(list.Message(), of.key), fieldOf(list.Message(), of.output)
	extra := list.Message().Fields().ByName("extra_json")
	all := m.Get(list).List()
	for i := range all.Len() {
		item := all.Get(i).Message()
		failure := ""
		for name, value := range restjson.ExtraMembers(item.Get(extra).String()) {
			var s statement
			if name == "error" && restjson.Says(value) {
				if s.error(value); s.envelope || s.failure {
					failure = value
				}
			}
		}
		do(int32(item.Get(key).Int()), failure, hasContent(item.Get(output).Message()))
	}
}

// itemsError is the error of an answer whose items have all failed, without
// output.
func (op *operation) itemsError(response *http.Response, body []byte, message restjson.Response) error {
	first, failed := "", true
	op.items.each(message, func(_ int32, failure string, hasOutput bool) {
		failed = failed && failure != "" && !hasOutput
		if first == "" {
			first = failure
		}
	})
	if !failed || first == "" {
		return nil
	}
	return itemError(response, body, first)
}

// itemError is the error that an item states.
func itemError(response *http.Response, body []byte, failure string) error {
	detail := parseError([]byte(`{"error":` + failure + `}`))
	if detail == nil {
		detail = new(restv1.Error)
	}
	detail.BodyExcerpt = excerpt(body)
	return answerError(errorCode(detail), response, detail, body)
}

// hasOutput reports whether an answer has output: in an item or, if there are
// none, in any field.
func (op *operation) hasOutput(message restjson.Response) (has bool) {
	if op.items == nil {
		return hasFields(message)
	}
	op.items.each(message, func(_ int32, _ string, hasOutput bool) { has = has || hasOutput })
	return has
}

// hasContent reports whether a message has content: text, bytes, or a list of
// something. What only says who speaks is none.
func hasContent(m protoreflect.Message) (has bool) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Name() == "role" || field.Name() == "id" || field.Name() == "name":
		case field.Name() == "extra_json":
			has = saysMore(value.String())
		case field.IsList():
			has = value.List().Len() > 0
		case field.IsMap():
			has = value.Map().Len() > 0
		case field.Message() != nil:
			has = hasContent(value.Message())
		case field.Kind() == protoreflect.StringKind:
			has = value.String() != ""
		case field.Kind() == protoreflect.BytesKind:
			has = len(value.Bytes()) > 0
		}
		return !has
	})
	return has
}

// saysMore reports whether an extra_json has content.
func saysMore(extraJSON string) bool {
	for name, value := range restjson.ExtraMembers(extraJSON) {
		switch name {
		case "role", "id", "name", "type", "error":
		default:
			if value != "[]" && value != "{}" && restjson.Says(value) {
				return true
			}
		}
	}
	return false
}

// itemErrors notes the items of a message that failed by themselves, and is an
// error when all have.
func (s *eventStream) itemErrors(data []byte, message proto.Message) (err error) {
	if s.op.items == nil || !bytes.Contains(data, []byte(`"error"`)) {
		return nil
	}
	first := ""
	s.op.items.each(message, func(key int32, failure string, hasOutput bool) {
		if failure == "" || hasOutput {
			return
		}
		if s.broken == nil {
			s.broken = make(map[int32]bool)
		}
		s.broken[key] = true
		s.progress.Note(key, true) // Nothing more comes of it.
		if first == "" {
			first = failure
		}
	})
	if first == "" || len(s.broken) < max(s.count, s.progress.Items(), 1) {
		return nil
	}
	return itemError(s.response, data, first)
}

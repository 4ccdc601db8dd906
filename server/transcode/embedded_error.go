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

// Some upstreams report errors in responses with status 200, each in another form.
// This file detects them in the fields of a response that are not part of the API.

// errorSignals are the signs of an error in a response with status 200.
type errorSignals struct {
	envelope bool // OpenAI's `error`, or an `object` of "error"
	failure  bool // a code or flag that is certainly an error
	word     bool // a code or type that is an error if there is a message
	message  bool
	detail   bool // FastAPI's `detail`
}

// Names of the fields that contain the code and the message of an error.
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

// readSignals returns the signs of an error in an extra_json.
func readSignals(extraJSON string) (s errorSignals) {
	for name, value := range restjson.ExtraMembers(extraJSON) {
		says := restjson.IsMeaningful(value)
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

// error reads the field `error`, which is not empty.
func (s *errorSignals) error(value string) {
	switch value[0] {
	case '{':
		s.envelope = s.envelope || isError(json.RawMessage(value))
	case '[':
		var list []json.RawMessage
		_ = json.Unmarshal([]byte(value), &list)
		for _, each := range list {
			s.failure = s.failure || each[0] == '{' && isError(each) || each[0] == '"' && len(each) > 2
		}
	case '"':
		s.envelope = s.envelope || !isSuccess(value)
	default: // a Boolean or a number
		s.failure = s.failure || value == "true" || value != "false" && !isSuccess(value)
	}
}

// isError reports whether an error object has content and no code of success.
func isError(value json.RawMessage) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(value, &fields) != nil {
		return true
	}
	hasContent := false
	for name, field := range fields {
		if !restjson.IsMeaningful(string(field)) {
			continue
		}
		if codeNames[name] && isSuccess(string(field)) {
			return false
		}
		hasContent = true
	}
	return hasContent
}

// base reads the field `base_resp` of MiniMax.
func (s *errorSignals) base(value string) {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &members) != nil {
		return
	}
	for name, member := range members {
		if codeNames[name] && restjson.IsMeaningful(string(member)) {
			s.failure = s.failure || !isSuccess(string(member))
		}
	}
}

// code reads a code, a number or a word.
func (s *errorSignals) code(value string) {
	switch {
	case isSuccess(value), value == "false":
	case value[0] == '"' && !isNumber(value):
		s.word = true
	case value[0] == '"' || value[0] == '-' || '0' <= value[0] && value[0] <= '9':
		s.failure = true
	}
}

// kind reads a type or status.
func (s *errorSignals) kind(value string) {
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

// isSuccess reports whether an encoded code means success.
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

// embeddedError returns the error in the body of a 2xx response, or nil. It accepts
// OpenAI's form, and other forms if the response has no output.
func (op *operation) embeddedError(response *http.Response, body []byte, message restjson.Response) error {
	extra := message.GetExtraJson()
	if extra != "" {
		s := readSignals(extra)
		isError := s.envelope
		if !isError && (s.failure || s.word && s.message || s.word && s.detail) {
			isError = !op.hasOutput(message)
		}
		if !isError && (s.detail || s.message && op.Stream == nil) {
			isError = !hasFields(message)
		}
		if isError {
			return bodyError(response, body, extra)
		}
	}
	if op.Stream != nil || op.items == nil || !bytes.Contains(body, []byte(`"error"`)) {
		return nil
	}
	return op.itemsError(response, body, message)
}

// bodyError returns the error in a body. The extraJSON contains the fields of the body
// that are not part of the API.
func bodyError(response *http.Response, body []byte, extraJSON string) error {
	detail := parseError(body)
	if detail == nil {
		detail = &restv1.Error{ExtraJson: extraJSON, BodyExcerpt: excerpt(body)}
	}
	return upstreamError(errorCode(detail), response, detail, body)
}

// items holds the names of the list of items in a response, of the field that
// identifies an item, and of its output.
type items struct{ list, key, output string }

// each calls do for each item of a message with its key, its error as JSON or an empty
// string, and whether it has output.
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
			var s errorSignals
			if name == "error" && restjson.IsMeaningful(value) {
				if s.error(value); s.envelope || s.failure {
					failure = value
				}
			}
		}
		do(int32(item.Get(key).Int()), failure, hasContent(item.Get(output).Message()))
	}
}

// itemsError returns the error of a response whose items have all failed without
// output, or nil.
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

// itemError returns the error of an item.
func itemError(response *http.Response, body []byte, failure string) error {
	detail := parseError([]byte(`{"error":` + failure + `}`))
	if detail == nil {
		detail = new(restv1.Error)
	}
	detail.BodyExcerpt = excerpt(body)
	return upstreamError(errorCode(detail), response, detail, body)
}

// hasOutput reports whether any item of a response has output or, for a response
// without items, whether any field is set.
func (op *operation) hasOutput(message restjson.Response) (has bool) {
	if op.items == nil {
		return hasFields(message)
	}
	op.items.each(message, func(_ int32, _ string, hasOutput bool) { has = has || hasOutput })
	return has
}

// hasContent reports whether a message contains text, bytes or a non-empty list. Roles,
// ids and names do not count.
func hasContent(m protoreflect.Message) (has bool) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Name() == "role" || field.Name() == "id" || field.Name() == "name":
		case field.Name() == "extra_json":
			has = hasExtraContent(value.String())
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

// hasExtraContent reports whether an extra_json contains content.
func hasExtraContent(extraJSON string) bool {
	for name, value := range restjson.ExtraMembers(extraJSON) {
		switch name {
		case "role", "id", "name", "type", "error":
		default:
			if value != "[]" && value != "{}" && restjson.IsMeaningful(value) {
				return true
			}
		}
	}
	return false
}

// itemErrors records the items of a message that failed, and returns an error when all
// requested items have.
func (s *eventStream) itemErrors(data []byte, message proto.Message) (err error) {
	if s.op.items == nil || !bytes.Contains(data, []byte(`"error"`)) {
		return nil
	}
	first := ""
	s.op.items.each(message, func(key int32, failure string, hasOutput bool) {
		if failure == "" || hasOutput {
			return
		}
		if s.failedItems == nil {
			s.failedItems = make(map[int32]bool)
		}
		s.failedItems[key] = true
		s.progress.Record(key, true) // The item is finished.
		if first == "" {
			first = failure
		}
	})
	if first == "" || len(s.failedItems) < max(s.count, s.progress.Items(), 1) {
		return nil
	}
	return itemError(s.response, data, first)
}

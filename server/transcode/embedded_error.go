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

// Some upstreams report errors in responses with status 200, each in its own format. This
// file detects them by fields of the response that are not part of OpenAI's API.

// errorSignals holds the signs of an error in a response with status 200.
type errorSignals struct {
	envelope bool // OpenAI's `error`, or an `object` of "error"
	certain  bool // a code or flag that certainly means an error
	possible bool // a code or type that means an error if message or detail is set
	message  bool // a field of messageNames
	detail   bool // FastAPI's `detail`
}

// Names of the fields that contain the code or the message of an error.
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

// readSignals returns the signs of an error in the value of an extra_json field.
func readSignals(extraJSON string) (s errorSignals) {
	for name, value := range restjson.ExtraMembers(extraJSON) {
		meaningful := restjson.IsMeaningful(value)
		switch {
		case !meaningful && value != "false":
		case name == "error":
			s.addError(value)
		case name == "errors":
			s.certain = s.certain || value != "[]" && value != "{}"
		case name == "object":
			s.envelope = s.envelope || value == `"error"`
		case name == "success", name == "ok":
			s.certain = s.certain || value == "false"
		case name == "base_resp", name == "baseResp":
			s.addBaseResp(value)
		case codeNames[name]:
			s.addCode(value)
		case name == "type", name == "status", name == "error_type", name == "__type":
			s.addType(value)
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

// addError reads a non-empty field `error`.
func (s *errorSignals) addError(value string) {
	switch value[0] {
	case '{':
		s.envelope = s.envelope || isError(json.RawMessage(value))
	case '[':
		var list []json.RawMessage
		_ = json.Unmarshal([]byte(value), &list)
		for _, each := range list {
			s.certain = s.certain || each[0] == '{' && isError(each) || each[0] == '"' && len(each) > 2
		}
	case '"':
		s.envelope = s.envelope || !isSuccess(value)
	default: // a Boolean or a number
		s.certain = s.certain || value == "true" || value != "false" && !isSuccess(value)
	}
}

// isError reports whether an error object has content and no code that means success.
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

// addBaseResp reads MiniMax's field `base_resp`.
func (s *errorSignals) addBaseResp(value string) {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &members) != nil {
		return
	}
	for name, member := range members {
		if codeNames[name] && restjson.IsMeaningful(string(member)) {
			s.certain = s.certain || !isSuccess(string(member))
		}
	}
}

// addCode reads an error code, which is a number or a string.
func (s *errorSignals) addCode(value string) {
	switch {
	case isSuccess(value), value == "false":
	case value[0] == '"' && !isNumber(value):
		s.possible = true
	case value[0] == '"' || value[0] == '-' || '0' <= value[0] && value[0] <= '9':
		s.certain = true
	}
}

// addType reads an error type or a status.
func (s *errorSignals) addType(value string) {
	word := strings.ToLower(value)
	for _, failure := range []string{"error", "fail", "exception", "invalid", "denied"} {
		s.possible = s.possible || value[0] == '"' && strings.Contains(word, failure)
	}
	if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil {
		s.possible = s.possible || n >= 400
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

// embeddedError returns the error in the body of a 2xx response, or nil. An error in a
// format other than OpenAI's counts only if the response has no output.
func (op *operation) embeddedError(response *http.Response, body []byte, message restjson.Response) error {
	extra := message.GetExtraJson()
	if extra != "" {
		s := readSignals(extra)
		isError := s.envelope
		if !isError && (s.certain || s.possible && s.message || s.possible && s.detail) {
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

// bodyError returns the error in a body. extraJSON contains the fields of the body that are
// not part of the API.
func bodyError(response *http.Response, body []byte, extraJSON string) error {
	detail := parseError(body)
	if detail == nil {
		detail = &restv1.Error{ExtraJson: extraJSON, BodyExcerpt: excerpt(body)}
	}
	return upstreamError(errorCode(detail), response, detail, body)
}

// items holds names of fields: list is the list of items in a response, such as choices,
// key identifies an item, and output holds its output.
type items struct{ list, key, output string }

// forEach calls do for each item of a message. failure is the item's error as JSON, or empty
// if the item has not failed.
func (i *items) forEach(message proto.Message, do func(key int32, failure string, hasOutput bool)) {
	m := message.ProtoReflect()
	list := fieldOf(m.Descriptor(), i.list)
	key, output := fieldOf(list.Message(), i.key), fieldOf(list.Message(), i.output)
	extra := list.Message().Fields().ByName("extra_json")
	all := m.Get(list).List()
	for n := range all.Len() {
		item := all.Get(n).Message()
		failure := ""
		for name, value := range restjson.ExtraMembers(item.Get(extra).String()) {
			var s errorSignals
			if name == "error" && restjson.IsMeaningful(value) {
				if s.addError(value); s.envelope || s.certain {
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
	op.items.forEach(message, func(_ int32, failure string, hasOutput bool) {
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
	op.items.forEach(message, func(_ int32, _ string, hasOutput bool) { has = has || hasOutput })
	return has
}

// hasContent reports whether a message contains text, bytes or a non-empty list or map.
// Roles, ids and names do not count.
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

// itemErrors records the failed items of a message. It returns an error when all requested
// items have failed.
func (s *eventStream) itemErrors(data []byte, message proto.Message) (err error) {
	if s.op.items == nil || !bytes.Contains(data, []byte(`"error"`)) {
		return nil
	}
	first := ""
	s.op.items.forEach(message, func(key int32, failure string, hasOutput bool) {
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

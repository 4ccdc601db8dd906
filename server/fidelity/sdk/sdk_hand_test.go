package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/shared"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/sdkcheck"
)

// sdkHand is the official SDK. Its answers are what it was sent.
type sdkHand struct {
	client  openai.Client
	control control // request headers
}

func (h sdkHand) create(ctx context.Context, body []byte) ([]byte, error) {
	params, _ := sdkParams(body)
	return sdkAnswer(h.client.Chat.Completions.New(ctx, params, h.options()...))
}

func (h sdkHand) stream(ctx context.Context, body []byte) (events [][]byte, err error) {
	params, _ := sdkParams(body)
	var response *http.Response
	stream := h.client.Chat.Completions.NewStreaming(ctx, params, append(h.options(), option.WithResponseInto(&response))...)
	for stream.Next() {
		events = append(events, []byte(stream.Current().RawJSON()))
	}
	if event, is := errors.AsType[*ssestream.StreamError](stream.Err()); is {
		return events, sdkEventFailure(response, event.Event.Data)
	}
	if err := stream.Err(); err != nil {
		return events, sdkFailure(err)
	}
	return events, stream.Close()
}

func (h sdkHand) get(ctx context.Context, id string) ([]byte, error) {
	return sdkAnswer(h.client.Chat.Completions.Get(ctx, id, h.options()...))
}

func (h sdkHand) update(ctx context.Context, id string, metadata map[string]string) ([]byte, error) {
	params := openai.ChatCompletionUpdateParams{Metadata: metadata}
	return sdkAnswer(h.client.Chat.Completions.Update(ctx, id, params, h.options()...))
}

func (h sdkHand) remove(ctx context.Context, id string) ([]byte, error) {
	return sdkAnswer(h.client.Chat.Completions.Delete(ctx, id, h.options()...))
}

func (h sdkHand) list(ctx context.Context, p page) ([]byte, error) {
	params := openai.ChatCompletionListParams{
		Metadata: shared.Metadata(p.metadata),
		Order:    openai.ChatCompletionListParamsOrder(p.order),
		Model:    opt(p.model), After: opt(p.after), Limit: p.sdkLimit(),
	}
	return sdkAnswer(h.client.Chat.Completions.List(ctx, params, h.options()...))
}

func (h sdkHand) listMessages(ctx context.Context, id string, p page) ([]byte, error) {
	params := openai.ChatCompletionMessageListParams{
		Order: openai.ChatCompletionMessageListParamsOrder(p.order),
		After: opt(p.after), Limit: p.sdkLimit(),
	}
	return sdkAnswer(h.client.Chat.Completions.Messages.List(ctx, id, params, h.options()...))
}

func (p page) sdkLimit() (limit param.Opt[int64]) {
	if p.limit == nil {
		return limit
	}
	return openai.Int(int64(*p.limit))
}

func opt(text *string) (o param.Opt[string]) {
	if text == nil {
		return o
	}
	return openai.String(*text)
}

func (h sdkHand) options() (options []option.RequestOption) {
	for name, value := range h.control {
		options = append(options, option.WithHeader(name, value))
	}
	return options
}

func sdkAnswer(answer interface{ RawJSON() string }, err error) ([]byte, error) {
	if err != nil {
		return nil, sdkFailure(err)
	}
	return []byte(answer.RawJSON()), nil
}

// sdkFailure is the *failure of an error that the upstream stated, or else the
// error.
func sdkFailure(err error) error {
	stated, is := errors.AsType[*openai.Error](err)
	if !is {
		return err
	}
	return sdkStated(stated.Response, []byte(stated.RawJSON()))
}

// sdkEventFailure is the *failure of an error event of a stream.
func sdkEventFailure(response *http.Response, data []byte) error {
	event, err := jsontree.Parse(data)
	if err != nil {
		return err
	}
	body, _ := event.Find("error")
	return sdkStated(response, body.Append(nil, nil))
}

func sdkStated(response *http.Response, body []byte) *failure {
	failed := &failure{status: response.StatusCode, body: body, id: response.Header.Get("X-Request-ID"), retry: never}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		failed.retry = time.Duration(seconds) * time.Second
	}
	return failed
}

// sdkParams returns the params for a body: their fields, where the SDK has them
// for all of it, and otherwise the body as it is.
func sdkParams(body []byte) (params openai.ChatCompletionNewParams, fields bool) {
	v, err := jsontree.Parse(body)
	if err != nil {
		return param.Override[openai.ChatCompletionNewParams](json.RawMessage(body)), false
	}
	known, unknown := jsontree.Value{Kind: jsontree.Object}, make(map[string]any)
	for _, m := range v.Members {
		if name := jsontree.Unquote(m.Name); sdkKnows(name) {
			known.Members = append(known.Members, m)
		} else {
			unknown[name] = json.RawMessage(m.Value.Append(nil, nil))
		}
	}
	if params, err = sdkcheck.Params[openai.ChatCompletionNewParams](known.Append(nil, nil)); err == nil {
		if len(unknown) > 0 {
			params.SetExtraFields(unknown)
		}
		if written, err := json.Marshal(params); err == nil && equal(body, written) == nil {
			return params, true
		}
	}
	return param.Override[openai.ChatCompletionNewParams](json.RawMessage(body)), false
}

// sdkKnows reports whether the SDK has a field for a member of a request.
func sdkKnows(member string) bool {
	_, known := reflect.TypeFor[openai.ChatCompletionNewParams]().FieldByNameFunc(func(field string) bool {
		f, _ := reflect.TypeFor[openai.ChatCompletionNewParams]().FieldByName(field)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name == member
	})
	return known
}

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

// sdkClient calls the API with the official SDK. It returns raw responses.
type sdkClient struct {
	client  openai.Client
	control control // request headers
}

func (c sdkClient) create(ctx context.Context, body []byte) ([]byte, error) {
	params, _ := sdkParams(body)
	return sdkResponse(c.client.Chat.Completions.New(ctx, params, c.options()...))
}

func (c sdkClient) stream(ctx context.Context, body []byte) (events [][]byte, err error) {
	params, _ := sdkParams(body)
	var response *http.Response
	stream := c.client.Chat.Completions.NewStreaming(ctx, params, append(c.options(), option.WithResponseInto(&response))...)
	for stream.Next() {
		events = append(events, []byte(stream.Current().RawJSON()))
	}
	if event, ok := errors.AsType[*ssestream.StreamError](stream.Err()); ok {
		return events, sdkEventFailure(response, event.Event.Data)
	}
	if err := stream.Err(); err != nil {
		return events, sdkFailure(err)
	}
	return events, stream.Close()
}

func (c sdkClient) get(ctx context.Context, id string) ([]byte, error) {
	return sdkResponse(c.client.Chat.Completions.Get(ctx, id, c.options()...))
}

func (c sdkClient) update(ctx context.Context, id string, metadata map[string]string) ([]byte, error) {
	params := openai.ChatCompletionUpdateParams{Metadata: metadata}
	return sdkResponse(c.client.Chat.Completions.Update(ctx, id, params, c.options()...))
}

func (c sdkClient) remove(ctx context.Context, id string) ([]byte, error) {
	return sdkResponse(c.client.Chat.Completions.Delete(ctx, id, c.options()...))
}

func (c sdkClient) list(ctx context.Context, p page) ([]byte, error) {
	params := openai.ChatCompletionListParams{
		Metadata: shared.Metadata(p.metadata),
		Order:    openai.ChatCompletionListParamsOrder(p.order),
		Model:    opt(p.model), After: opt(p.after), Limit: p.sdkLimit(),
	}
	return sdkResponse(c.client.Chat.Completions.List(ctx, params, c.options()...))
}

func (c sdkClient) listMessages(ctx context.Context, id string, p page) ([]byte, error) {
	params := openai.ChatCompletionMessageListParams{
		Order: openai.ChatCompletionMessageListParamsOrder(p.order),
		After: opt(p.after), Limit: p.sdkLimit(),
	}
	return sdkResponse(c.client.Chat.Completions.Messages.List(ctx, id, params, c.options()...))
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

func (c sdkClient) options() (options []option.RequestOption) {
	for name, value := range c.control {
		options = append(options, option.WithHeader(name, value))
	}
	return options
}

func sdkResponse(response interface{ RawJSON() string }, err error) ([]byte, error) {
	if err != nil {
		return nil, sdkFailure(err)
	}
	return []byte(response.RawJSON()), nil
}

// sdkFailure converts an error reported by the upstream to a *failure and returns other
// errors unchanged.
func sdkFailure(err error) error {
	upstreamError, ok := errors.AsType[*openai.Error](err)
	if !ok {
		return err
	}
	return newSDKFailure(upstreamError.Response, []byte(upstreamError.RawJSON()))
}

// sdkEventFailure converts an error event of a stream to a *failure.
func sdkEventFailure(response *http.Response, data []byte) error {
	event, err := jsontree.Parse(data)
	if err != nil {
		return err
	}
	body, _ := event.Find("error")
	return newSDKFailure(response, body.Append(nil, nil))
}

func newSDKFailure(response *http.Response, body []byte) *failure {
	failed := &failure{status: response.StatusCode, body: body, id: response.Header.Get("X-Request-ID"), retry: never}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		failed.retry = time.Duration(seconds) * time.Second
	}
	return failed
}

// sdkParams returns the params for a body. It sets their fields if the SDK can express
// the whole body, and uses the raw body otherwise.
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
		if checkRoundTrip, err := json.Marshal(params); err == nil && compareJSON(body, checkRoundTrip) == nil {
			return params, true
		}
	}
	return param.Override[openai.ChatCompletionNewParams](json.RawMessage(body)), false
}

// sdkKnows reports whether the SDK's request type has a field for member.
func sdkKnows(member string) bool {
	_, known := reflect.TypeFor[openai.ChatCompletionNewParams]().FieldByNameFunc(func(field string) bool {
		f, _ := reflect.TypeFor[openai.ChatCompletionNewParams]().FieldByName(field)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name == member
	})
	return known
}

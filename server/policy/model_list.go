package policy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
)

// maxModelListBytes bounds a list of models, encoded and decoded.
const maxModelListBytes = 8 << 20

// isModelList reports whether a client that may use only some models requests a list of
// models, in the API of OpenAI, Azure, Ollama or LiteLLM.
func isModelList(client *clients.Client, req *upstream.Request) bool {
	if len(client.Models) == 0 || !strings.EqualFold(req.Method, http.MethodGet) && !strings.EqualFold(req.Method, http.MethodHead) {
		return false
	}
	escaped, _, _ := strings.Cut(req.Target, "?")
	for range 3 { // Some servers decode more than once.
		clean, err := url.PathUnescape(escaped)
		if err != nil {
			return false
		}
		escaped = clean
	}
	segments := strings.Split(strings.ToLower(path.Clean("/"+escaped)), "/")
	last, _, _ := strings.Cut(segments[len(segments)-1], ";")
	parent := segments[len(segments)-2]
	switch last {
	case "models", "engines", "deployments":
		return true
	case "tags", "ps": // Ollama
		return parent == "api"
	case "info": // LiteLLM
		return parent == "model" || parent == "models" || parent == "model_group"
	default:
		return false
	}
}

// requestWholeList changes a request so that the upstream sends the whole list,
// uncompressed.
func requestWholeList(req *upstream.Request) {
	for _, name := range []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"} {
		delete(req.Header, name)
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header["Accept-Encoding"] = []string{"identity"}
}

// filterModels removes the models that the client may not use from a list of models, and
// the validators and digests of the list from the header. The rest is unchanged. If the
// list cannot be read, the response is an error.
func (s *Sender) filterModels(ctx context.Context, record *request.Record, req *upstream.Request, resp *http.Response) (*http.Response, error) {
	if resp.StatusCode < 200 || resp.StatusCode > 299 || resp.StatusCode == http.StatusNoContent {
		return resp, nil
	}
	if strings.EqualFold(req.Method, http.MethodHead) {
		dropValidators(resp.Header)
		resp.ContentLength = -1
		return resp, nil
	}
	hold := s.config.Memory.Hold(record.ClientName())
	record.OnEnd(hold.Close)
	body, err := readModelList(hold, resp.Body)
	closeErr := resp.Body.Close()
	var filtered []byte
	if err == nil {
		filtered, err = filterBody(ctx, record.Client, hold, resp.Header, body)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	sent := &upstream.Request{Method: req.Method} // without the body, which has been sent
	if limitErr, ok := errors.AsType[*memory.LimitError](err); ok {
		e, _ := apierror.ForLimit(limitErr)
		return reject(record, sent, e), nil
	}
	if upstreamErr, ok := errors.AsType[*upstream.Error](cmp.Or(err, closeErr)); ok {
		return nil, upstreamErr
	}
	if err != nil {
		return reject(record, sent, modelListUnreadable(err)), nil
	}
	if filtered == nil { // Nothing was removed.
		filtered = body
	} else {
		dropValidators(resp.Header)
		delete(resp.Header, "Content-Encoding")
		resp.Header["Content-Length"] = []string{strconv.Itoa(len(filtered))}
		resp.ContentLength = int64(len(filtered))
	}
	resp.Trailer = nil
	resp.Body = io.NopCloser(bytes.NewReader(filtered))
	return resp, nil
}

var errModelListTooLarge = errors.New("it is too large")

// readModelList reads a list of models into memory.
func readModelList(hold *memory.Hold, list io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(hold.Reader(list), maxModelListBytes+1))
	if err == nil && len(text) > maxModelListBytes {
		return nil, errModelListTooLarge
	}
	return text, err
}

// filterBody returns the filtered list, or nil if nothing is removed.
func filterBody(ctx context.Context, client *clients.Client, hold *memory.Hold, header http.Header, body []byte) ([]byte, error) {
	decoded, err := usage.Decode(ctx, header, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	text, err := readModelList(hold, decoded)
	_ = decoded.Close() // It was read from memory.
	if err != nil {
		return nil, err
	}
	if err := hold.Grow(int64(len(text))); err != nil { // for the filtered list
		return nil, err
	}
	bom := []byte("\ufeff")
	plain, hasBOM := bytes.CutPrefix(text, bom)
	filter := modelFilter{decoder: json.NewDecoder(bytes.NewReader(plain)), text: plain, allows: client.AllowsModel}
	filtered, err := filter.list()
	switch {
	case err != nil || bytes.Equal(filtered, plain):
		return nil, err
	case hasBOM:
		return append(bom, filtered...), nil
	default:
		return filtered, nil
	}
}

// dropValidators removes header fields that depend on the content of the list (RFC 9110,
// section 8.8, and RFC 9530).
func dropValidators(header http.Header) {
	for _, name := range []string{
		"Content-Length", "Etag", "Last-Modified", "Accept-Ranges",
		"Digest", "Content-Digest", "Repr-Digest", "Content-Md5", "Signature", "Signature-Input",
	} {
		delete(header, name)
	}
}

// modelFilter copies a list of models without the models that are not allowed.
type modelFilter struct {
	decoder *json.Decoder
	text    []byte
	allows  func(model string) bool
	copied  int64 // the length of the part of text that has been processed
	result  []byte
}

// list filters a list, or an object with lists. All bytes except the removed models stay
// unchanged.
func (f *modelFilter) list() ([]byte, error) {
	begin, err := f.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch begin {
	case json.Delim('['):
		err = f.elements(true)
	case json.Delim('{'):
		err = f.fields()
	default:
		return nil, errors.New("it is neither an object nor an array")
	}
	if err != nil {
		return nil, err
	}
	if _, err := f.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data follows the JSON")
	}
	return append(f.result, f.text[f.copied:]...), nil
}

// fields filters each list in an object.
func (f *modelFilter) fields() error {
	for f.decoder.More() {
		name, err := f.decoder.Token()
		if err != nil {
			return err
		}
		offset := f.decoder.InputOffset()
		rest := bytes.TrimLeft(f.text[offset:], ": \t\r\n")
		if !bytes.HasPrefix(rest, []byte("[")) {
			var skipped json.RawMessage
			if err := f.decoder.Decode(&skipped); err != nil {
				return err
			}
			continue
		}
		if _, err := f.decoder.Token(); err != nil {
			return err
		}
		if err := f.elements(name == "data" || name == "models"); err != nil {
			return err
		}
	}
	_, err := f.decoder.Token()
	return err
}

// elements filters the current list. models reports whether it is a list of models. Other
// lists may also contain models.
func (f *modelFilter) elements(models bool) error {
	f.copy(f.decoder.InputOffset())
	count := 0
	for f.decoder.More() {
		var element json.RawMessage
		if err := f.decoder.Decode(&element); err != nil {
			return err
		}
		end := f.decoder.InputOffset()
		// The element, with the preceding white space and comma.
		piece := f.text[f.copied:end]
		f.copied = end
		if !f.allowsElement(element, models) {
			continue
		}
		if count == 0 {
			piece = withoutComma(piece)
		} else if !bytes.HasPrefix(bytes.TrimLeft(piece, " \t\r\n"), []byte(",")) {
			f.result = append(f.result, ',')
		}
		f.result = append(f.result, piece...)
		count++
	}
	_, err := f.decoder.Token()
	return err
}

// withoutComma removes the comma before an element.
func withoutComma(piece []byte) []byte {
	space := len(piece) - len(bytes.TrimLeft(piece, " \t\r\n"))
	if space < len(piece) && piece[space] == ',' {
		return slices.Concat(piece[:space], piece[space+1:])
	}
	return piece
}

// copy copies the text up to an offset.
func (f *modelFilter) copy(to int64) {
	f.result = append(f.result, f.text[f.copied:to]...)
	f.copied = to
}

// allowsElement reports whether an element stays: an allowed model or, unless the list is a
// list of models, an element of another type.
func (f *modelFilter) allowsElement(element json.RawMessage, models bool) bool {
	var name string
	if json.Unmarshal(element, &name) == nil {
		return !models || f.allows(name)
	}
	var model struct {
		ID    *string `json:"id"`
		Model *string `json:"model"`
		Name  *string `json:"name"`

		ModelName  *string `json:"model_name"`
		ModelGroup *string `json:"model_group"`
	}
	if json.Unmarshal(element, &model) != nil {
		return !models
	}
	for _, name := range []*string{model.ID, model.ModelName, model.ModelGroup, model.Model, model.Name} {
		if name != nil {
			return f.allows(*name) || f.allows(strings.TrimPrefix(*name, "models/")) // Google's prefix
		}
	}
	return !models
}

func modelListUnreadable(err error) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusBadGateway, Type: apierror.ServerError, Code: "models_unreadable",
		Message: "Your API key is restricted by model, but the upstream's list of models could not be read: " + err.Error() + ".",
	}
}

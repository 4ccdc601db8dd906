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

// maxModelsBytes bounds a list of models, in bytes, as it comes and decoded.
const maxModelsBytes = 8 << 20

// asksForModels reports whether a request of a token that may use some models only asks
// for a list of them: in OpenAI's API, or in Azure's, Ollama's or LiteLLM's.
func asksForModels(token *clients.Client, req *upstream.Request) bool {
	if token == nil || len(token.Models) == 0 || !strings.EqualFold(req.Method, http.MethodGet) && !strings.EqualFold(req.Method, http.MethodHead) {
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
	before := segments[len(segments)-2]
	switch last {
	case "models", "engines", "deployments":
		return true
	case "tags", "ps": // Ollama's
		return before == "api"
	case "info": // LiteLLM's
		return before == "model" || before == "models" || before == "model_group"
	default:
		return false
	}
}

// askForModels has the upstream send a list of models whole and without a coding.
func askForModels(req *upstream.Request) {
	for _, name := range []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"} {
		delete(req.Header, name)
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header["Accept-Encoding"] = []string{"identity"}
}

// filterModels leaves in an answer the models that the token may use. What else it has
// is unchanged; without the others its length is another, and validators and digests of
// the whole are dropped. A list that can't be read is refused.
func (g *Gateway) filterModels(ctx context.Context, c *request.Record, req *upstream.Request, resp *http.Response) (*http.Response, error) {
	if resp.StatusCode < 200 || resp.StatusCode > 299 || resp.StatusCode == http.StatusNoContent {
		return resp, nil
	}
	if strings.EqualFold(req.Method, http.MethodHead) {
		dropValidators(resp.Header)
		resp.ContentLength = -1
		return resp, nil
	}
	hold := g.config.Memory.Hold(c.ClientName())
	c.OnEnd(hold.Close)
	body, err := readModels(hold, resp.Body)
	closed := resp.Body.Close()
	var filtered []byte
	if err == nil {
		filtered, err = filterBody(ctx, c.Client, hold, resp.Header, body)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	asked := &upstream.Request{Method: req.Method} // whose body was sent
	if short, ok := errors.AsType[*memory.LimitError](err); ok {
		e, _ := apierror.ForLimit(short)
		return reject(c, asked, e), nil
	}
	if broken, ok := errors.AsType[*upstream.Error](cmp.Or(err, closed)); ok {
		return nil, broken
	}
	if err != nil {
		return reject(c, asked, modelsUnreadable(err)), nil
	}
	if filtered == nil { // Nothing is left out.
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

var errModelsTooLarge = errors.New("it is too large")

// readModels reads a list of models into memory.
func readModels(hold *memory.Hold, list io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(hold.Reader(list), maxModelsBytes+1))
	if err == nil && len(text) > maxModelsBytes {
		return nil, errModelsTooLarge
	}
	return text, err
}

// filterBody returns what is left of a body, nil if that is all.
func filterBody(ctx context.Context, token *clients.Client, hold *memory.Hold, header http.Header, body []byte) ([]byte, error) {
	decoded, err := usage.Decode(ctx, header, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	text, err := readModels(hold, decoded)
	_ = decoded.Close() // It was read from memory.
	if err != nil {
		return nil, err
	}
	if err := hold.Grow(int64(len(text))); err != nil { // for what is left
		return nil, err
	}
	mark := []byte("\ufeff")
	plain, marked := bytes.CutPrefix(text, mark)
	filter := modelFilter{decoder: json.NewDecoder(bytes.NewReader(plain)), text: plain, allows: token.AllowsModel}
	filtered, err := filter.list()
	switch {
	case err != nil || bytes.Equal(filtered, plain):
		return nil, err
	case marked:
		return append(mark, filtered...), nil
	default:
		return filtered, nil
	}
}

// dropValidators takes from a header what describes the whole list (RFC 9110 §8.8, RFC
// 9530).
func dropValidators(header http.Header) {
	for _, name := range []string{
		"Content-Length", "Etag", "Last-Modified", "Accept-Ranges",
		"Digest", "Content-Digest", "Repr-Digest", "Content-Md5", "Signature", "Signature-Input",
	} {
		delete(header, name)
	}
}

// modelFilter copies a list of models, and leaves out those that are not allowed.
type modelFilter struct {
	decoder *json.Decoder
	text    []byte
	allows  func(model string) bool
	copied  int64 // bytes of text that were looked at
	result  []byte
}

// list filters a list, or an object whose members have lists. Everything around the
// models that are left out stays byte by byte.
func (f *modelFilter) list() ([]byte, error) {
	begin, err := f.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch begin {
	case json.Delim('['):
		err = f.elements(true)
	case json.Delim('{'):
		err = f.members()
	default:
		return nil, errors.New("it is neither an object nor a list")
	}
	if err != nil {
		return nil, err
	}
	if _, err := f.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON")
	}
	return append(f.result, f.text[f.copied:]...), nil
}

// members filters each member of an object that is a list.
func (f *modelFilter) members() error {
	for f.decoder.More() {
		name, err := f.decoder.Token()
		if err != nil {
			return err
		}
		at := f.decoder.InputOffset()
		rest := bytes.TrimLeft(f.text[at:], ": \t\r\n")
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

// elements filters the list that has begun, up to its end. A list of models has nothing
// else; another one may have some.
func (f *modelFilter) elements(models bool) error {
	f.copy(f.decoder.InputOffset())
	kept := 0
	for f.decoder.More() {
		var element json.RawMessage
		if err := f.decoder.Decode(&element); err != nil {
			return err
		}
		end := f.decoder.InputOffset()
		// The element with the space before it, and the comma if there is one.
		piece := f.text[f.copied:end]
		f.copied = end
		if !f.keeps(element, models) {
			continue
		}
		if kept == 0 {
			piece = withoutComma(piece)
		} else if !bytes.HasPrefix(bytes.TrimLeft(piece, " \t\r\n"), []byte(",")) {
			f.result = append(f.result, ',')
		}
		f.result = append(f.result, piece...)
		kept++
	}
	_, err := f.decoder.Token()
	return err
}

// withoutComma returns an element without the comma before it.
func withoutComma(piece []byte) []byte {
	space := len(piece) - len(bytes.TrimLeft(piece, " \t\r\n"))
	if space < len(piece) && piece[space] == ',' {
		return slices.Concat(piece[:space], piece[space+1:])
	}
	return piece
}

// copy copies up to an offset.
func (f *modelFilter) copy(to int64) {
	f.result = append(f.result, f.text[f.copied:to]...)
	f.copied = to
}

// keeps reports whether an element is to be kept: a model that is allowed, or something
// different in a list that is not one of models.
func (f *modelFilter) keeps(element json.RawMessage, models bool) bool {
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
			return f.allows(*name) || f.allows(strings.TrimPrefix(*name, "models/")) // as Google has it
		}
	}
	return !models
}

func modelsUnreadable(err error) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusBadGateway, Type: apierror.ServerError, Code: "models_unreadable",
		Message: "The token that was sent may use some models only, and this server can't read the upstream's list of models: " + err.Error() + ".",
	}
}

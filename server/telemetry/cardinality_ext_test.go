package telemetry_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/usage"
)

// maxSeries bounds the series of a server without tokens, whatever clients send
// it. Each of its labels has values of a fixed set, or of 200 models and "other".
const maxSeries = 20_000

func TestMetrics_HostileRequestsCreateBoundedSeries(t *testing.T) {
	o, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_.~%2F\xff\u00e4{}\"\\"
		text := make([]byte, 1+random.IntN(40))
		for i := range text {
			text[i] = letters[random.IntN(len(letters))]
		}
		return string(text)
	}
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	handler := observed(o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := request.FromContext(r.Context())
		c.SetRequest(word(), random.IntN(2) == 0)
		c.SetResponse(200, false)
		c.RecordEvent(time.Now())
		c.RecordEvent(time.Now())
		c.RecordUsage(word(), usage.Usage{Input: 1, Output: 1, CachedInput: 1, Reasoning: 1, Estimated: random.IntN(2) == 0})
		w.Header().Set("Grpc-Status", pick("0", "3", "99", "-1", word()))
		w.WriteHeader(200 + random.IntN(800))
	}))
	for range 10_000 {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Method = pick(http.MethodGet, http.MethodPost, strings.ToUpper(word()))
		r.URL.Path = pick("/", "/v1/", "/v1/chat/completions/", "/openaiconnect.chat.v1.ChatService/", "") + word() + pick("", "/"+word())
		r.Header.Set("Content-Type", pick("application/json", "application/grpc+"+word(), "application/connect+"+word(), word()))
		r.Header.Set("X-Client-Request-Id", word())
		r.Header.Set(pick("Connect-Protocol-Version", word()), word())
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	samples := scrape(t, o)
	models := make(map[string]bool)
	for name := range samples {
		if _, rest, ok := strings.Cut(name, `model="`); ok {
			model, _, _ := strings.Cut(rest, `",`)
			models[strings.TrimSuffix(model, `"}`)] = true
		}
	}
	if len(models) > 201+1 { // 200, other, and none
		t.Errorf("%d models are told apart", len(models))
	}
	if len(samples) > maxSeries {
		t.Errorf("10,000 hostile requests made %d series, more than %d", len(samples), maxSeries)
	}
	if got := samples[`openai_connect_request_duration_seconds_count{protocol="raw",route="other"}`]; got == 0 {
		t.Error("nothing was counted")
	}
	t.Logf("10,000 hostile requests made %d series, of %d models", len(samples), len(models))
}

// Some upstreams return the requested model name, which may be a key.
func TestMetrics_KeyAsModelIsNoLabel(t *testing.T) {
	o, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	observed(o, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		request.FromContext(r.Context()).RecordUsage("oc-of-a-client-0123456789", usage.Usage{Input: 1})
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	for name := range scrape(t, o) {
		if strings.Contains(name, "oc-of") {
			t.Errorf("there is %s", name)
		}
	}
}

// FuzzRequests: nothing that a request says, or an answer, makes a metric that
// can't be written, or a log line that isn't one JSON value.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "/v1/models", "application/json", "id", "m", 200)
	f.Add("\xff", "//", "application/grpc", "sk-123456789", "\xff\xfe\n", 999)
	f.Add("", "/v1/files/x/content?a=b", "application/connect+json", " ", strings.Repeat("m", 500), 0)
	f.Fuzz(func(t *testing.T, method, path, contentType, id, model string, status int) {
		log := new(logged)
		o, err := telemetry.New(telemetry.Config{Calls: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Method, r.URL.Path = method, path
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("X-Client-Request-Id", id)
		observed(o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := request.FromContext(r.Context())
			c.SetRequest(model, false)
			c.SetResponse(200, false)
			c.RecordUsage(model, usage.Usage{Input: 1})
			if status >= 200 && status <= 999 {
				w.WriteHeader(status)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		scrape(t, o)
		if text := log.String(); !json.Valid([]byte(text)) {
			t.Errorf("no JSON: %q", text)
		}
	})
}

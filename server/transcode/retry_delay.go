package transcode

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// maxRetryDepth bounds how deeply a body is searched for when to retry.
const maxRetryDepth = 8

// retryDelayIn is when to retry by the body of an error, and nil where it doesn't
// say so. It is google.rpc.RetryInfo among the details of an error, as Google's
// servers send it (`"retryDelay": "34.07s"`), or a member such as `retry_after`, in
// seconds, or `retry_after_ms`. A gateway may quote the error that it got as text.
func retryDelayIn(body []byte) *time.Duration {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return nil
	}
	return findRetryDelay(value, maxRetryDepth)
}

func findRetryDelay(value any, depth int) *time.Duration {
	if depth == 0 {
		return nil
	}
	switch v := value.(type) {
	case map[string]any:
		names := slices.Sorted(maps.Keys(v))
		for _, name := range slices.Backward(names) { // Milliseconds come before seconds.
			if delay := memberDelay(name, v[name]); delay != nil {
				return delay
			}
		}
		for _, name := range names {
			if delay := findRetryDelay(v[name], depth-1); delay != nil {
				return delay
			}
		}
	case []any:
		for _, item := range v {
			if delay := findRetryDelay(item, depth-1); delay != nil {
				return delay
			}
		}
	case string:
		if strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") {
			var quoted any
			if json.Unmarshal([]byte(v), &quoted) == nil {
				return findRetryDelay(quoted, depth-1)
			}
		}
	}
	return nil
}

// memberDelay is the delay that a member states, and nil if it is another one.
func memberDelay(name string, value any) *time.Duration {
	unit := time.Second
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)) {
	case "retrydelay", "retryafter", "retryafterseconds", "retryaftersec", "retryafters":
	case "retryafterms", "retrydelayms", "retryaftermilliseconds", "retryaftermillis":
		unit = time.Millisecond
	default:
		return nil
	}
	switch v := value.(type) {
	case float64:
		return plausible(httpx.Units(v, unit))
	case string:
		if delay, ok := httpx.ParseWait(v, unit); ok {
			return plausible(delay, ok)
		}
		// Go parses Protobuf's JSON form of a Duration.
		delay, err := time.ParseDuration(v)
		return plausible(delay, err == nil && delay >= 0)
	case map[string]any: // a Duration in its long form
		whole, _ := v["seconds"].(float64)
		nanos, _ := v["nanos"].(float64)
		delay, ok := httpx.Units(whole+nanos/1e9, time.Second)
		return plausible(delay, ok && len(v) > 0)
	}
	return nil
}

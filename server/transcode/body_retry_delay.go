package transcode

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// maxRetryDepth is the maximum depth at which a body is searched for a retry delay.
const maxRetryDepth = 8

// retryDelayIn returns the retry delay in the body of an error, or nil: a
// google.rpc.RetryInfo in the details of an error (`"retryDelay": "34.07s"`), or a field
// such as `retry_after`, in seconds, or `retry_after_ms`. Gateways may quote the error of
// their upstream as a string.
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
		for _, name := range slices.Backward(names) { // milliseconds before seconds
			if delay := fieldDelay(name, v[name]); delay != nil {
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

// fieldDelay returns the retry delay in a field, or nil for other fields.
func fieldDelay(name string, value any) *time.Duration {
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

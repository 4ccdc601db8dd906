package sandbox

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The control headers. The package documentation describes them.
const (
	controlPrefix = "X-Sandbox-"

	controlDelay      = "x-sandbox-delay"
	controlChunkDelay = "x-sandbox-chunk-delay"
	controlStatus     = "x-sandbox-status"
	controlFault      = "x-sandbox-fault"
	controlAfter      = "x-sandbox-after"
	controlTokens     = "x-sandbox-tokens"
	controlAnswer     = "x-sandbox-answer"
	controlUnknown    = "x-sandbox-unknown"
)

// A fault is an error injected into a response.
type fault string

const (
	faultHang      fault = "hang"
	faultClose     fault = "close"
	faultEmpty     fault = "empty"
	faultHTML      fault = "html"
	faultJSON      fault = "json"
	faultMalformed fault = "malformed"
	faultError     fault = "error"
	faultEnd       fault = "end"
	faultStall     fault = "stall"
	faultAbort     fault = "abort"
	faultCut       fault = "cut"
)

// An answerKind is an outcome that is usually up to the model.
type answerKind string

const (
	answerRefusal       answerKind = "refusal"
	answerContentFilter answerKind = "content-filter"
)

const (
	// maxTokens is the maximum of x-sandbox-tokens, and of the sum over all choices.
	maxTokens = 1_000_000
	minStatus = 400
	maxStatus = 599
)

// controls holds the values of the control headers, zero if absent.
type controls struct {
	delay      time.Duration
	chunkDelay time.Duration
	status     int
	fault      fault
	after      int // number of chunks before the fault, negative for all
	tokens     int
	answer     answerKind
	unknown    bool // accept unknown fields and values
}

// readControls parses the control headers. It is strict, so that a test never runs
// without the control that it asked for.
func readControls(header http.Header) (controls, error) {
	result := controls{after: -1}
	for _, key := range slices.Sorted(maps.Keys(header)) {
		if !strings.HasPrefix(key, controlPrefix) {
			continue
		}
		values := header[key]
		name := strings.ToLower(key)
		if len(values) != 1 {
			return result, invalidControl(name, "it must not be repeated")
		}
		if err := result.set(name, values[0]); err != nil {
			return result, err
		}
	}
	if result.after >= 0 && !result.fault.isPositional() {
		return result, invalidControl(controlAfter, "it requires a fault that can happen after chunks")
	}
	if result.status != 0 && !slices.Contains([]fault{"", faultHTML, faultError}, result.fault) {
		return result, invalidControl(controlStatus, "it cannot be combined with faults other than html and error")
	}
	return result, nil
}

func (c *controls) set(name, value string) error {
	var err error
	switch name {
	case controlDelay:
		c.delay, err = readDuration(name, value)
	case controlChunkDelay:
		c.chunkDelay, err = readDuration(name, value)
	case controlStatus:
		c.status, err = readCount(name, value, minStatus, maxStatus)
	case controlAfter:
		c.after, err = readCount(name, value, 0, maxTokens)
	case controlTokens:
		c.tokens, err = readCount(name, value, 1, maxTokens)
	case controlFault:
		c.fault, err = readEnum(name, value, faultHang, faultClose, faultEmpty, faultHTML, faultJSON,
			faultMalformed, faultError, faultEnd, faultStall, faultAbort, faultCut)
	case controlAnswer:
		c.answer, err = readEnum(name, value, answerRefusal, answerContentFilter)
	case controlUnknown:
		_, err = readEnum(name, value, "accept")
		c.unknown = true
	default:
		err = invalidControl(name, "unknown control")
	}
	return err
}

// isPositional reports whether the fault happens after a number of chunks.
func (f fault) isPositional() bool {
	return slices.Contains([]fault{faultMalformed, faultError, faultEnd, faultStall, faultAbort, faultCut}, f)
}

// checkUnary rejects faults that need a stream.
func (c *controls) checkUnary() error {
	if c.fault == faultJSON || c.fault == faultEnd {
		return invalidControl(controlFault, "'"+string(c.fault)+"' requires \"stream\": true in the request")
	}
	return nil
}

// apiError returns the error for faultError.
func (c *controls) apiError() *apiError {
	if c.status == 0 {
		return errorForStatus(http.StatusInternalServerError)
	}
	return errorForStatus(c.status)
}

func invalidControl(name, problem string) error {
	return invalid(name, "invalid_value", "Invalid header %s: %s.", name, problem)
}

func readDuration(name, value string) (time.Duration, error) {
	result, err := time.ParseDuration(value)
	if err != nil || result < 0 {
		return 0, invalidControl(name, "want a duration such as 150ms")
	}
	return result, nil
}

func readCount(name, value string, low, high int) (int, error) {
	result, err := strconv.Atoi(value)
	if err != nil || result < low || result > high {
		return 0, invalidControl(name, "want an integer from "+strconv.Itoa(low)+" to "+strconv.Itoa(high))
	}
	return result, nil
}

func readEnum[T ~string](name, value string, known ...T) (T, error) {
	if !slices.Contains(known, T(value)) {
		texts := make([]string, len(known))
		for i, each := range known {
			texts[i] = string(each)
		}
		return "", invalidControl(name, "want one of "+strings.Join(texts, ", "))
	}
	return T(value), nil
}

// wait waits for a duration. It returns the cause if the context ends earlier.
func wait(ctx context.Context, duration time.Duration) error {
	if duration <= 0 {
		return nil
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

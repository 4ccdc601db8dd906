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

// The headers by which a request controls how it is answered.
// The package's documentation has the table of them.
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

// A fault is a way in which an answer goes wrong.
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

// An answerKind is an answer that a model would decide to give by itself.
type answerKind string

const (
	answerRefusal       answerKind = "refusal"
	answerContentFilter answerKind = "content-filter"
)

const (
	// maxTokens bounds the tokens that a request may ask for, over all choices.
	maxTokens = 1_000_000
	minStatus = 400
	maxStatus = 599
)

// controls are the values of the control headers, zero where there are none.
type controls struct {
	delay      time.Duration
	chunkDelay time.Duration
	status     int
	fault      fault
	after      int // chunks before the fault, negative for all
	tokens     int
	answer     answerKind
	unknown    bool // accept what is unknown
}

// readControls is strict: what a test asks for is done or refused.
func readControls(header http.Header) (controls, error) {
	result := controls{after: -1}
	for _, key := range slices.Sorted(maps.Keys(header)) {
		if !strings.HasPrefix(key, controlPrefix) {
			continue
		}
		values := header[key]
		name := strings.ToLower(key)
		if len(values) != 1 {
			return result, invalidControl(name, "it is given more than once")
		}
		if err := result.set(name, values[0]); err != nil {
			return result, err
		}
	}
	if result.after >= 0 && !result.fault.isPositional() {
		return result, invalidControl(controlAfter, "it needs a fault that happens after some chunks")
	}
	if result.status != 0 && !slices.Contains([]fault{"", faultHTML, faultError}, result.fault) {
		return result, invalidControl(controlStatus, "of the faults, only html and error have a status")
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
		err = invalidControl(name, "there is no such control")
	}
	return err
}

// hasPlace tells whether the fault comes after some chunks.
func (f fault) isPositional() bool {
	return slices.Contains([]fault{faultMalformed, faultError, faultEnd, faultStall, faultAbort, faultCut}, f)
}

// checkUnary refuses the faults of a stream where the answer is none.
func (c *controls) checkUnary() error {
	if c.fault == faultJSON || c.fault == faultEnd {
		return invalidControl(controlFault, "'"+string(c.fault)+"' needs a request with \"stream\": true")
	}
	return nil
}

// failure is the error that goes with faultError.
func (c *controls) apiError() *apiError {
	if c.status == 0 {
		return errorForStatus(http.StatusInternalServerError)
	}
	return errorForStatus(c.status)
}

func invalidControl(name, problem string) error {
	return invalid(name, "invalid_value", "The header %s can't be obeyed: %s.", name, problem)
}

func readDuration(name, value string) (time.Duration, error) {
	result, err := time.ParseDuration(value)
	if err != nil || result < 0 {
		return 0, invalidControl(name, "it has to be a duration such as 150ms")
	}
	return result, nil
}

func readCount(name, value string, low, high int) (int, error) {
	result, err := strconv.Atoi(value)
	if err != nil || result < low || result > high {
		return 0, invalidControl(name, "it has to be an integer from "+strconv.Itoa(low)+" to "+strconv.Itoa(high))
	}
	return result, nil
}

func readEnum[T ~string](name, value string, known ...T) (T, error) {
	if !slices.Contains(known, T(value)) {
		texts := make([]string, len(known))
		for i, each := range known {
			texts[i] = string(each)
		}
		return "", invalidControl(name, "it has to be one of: "+strings.Join(texts, ", "))
	}
	return T(value), nil
}

// wait returns early, with the reason, when the context ends.
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

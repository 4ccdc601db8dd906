package logging

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

const (
	// maxInput is the number of bytes of a string that are redacted. The rest is dropped.
	// It is larger than MaxLine, so that a key at the end of a line is complete.
	maxInput = 8 * MaxLine

	// minLength is the minimum length to which strings are shortened. If a line is still
	// too long, attributes are dropped.
	minLength = 24

	// maxGroups is the maximum depth of nested groups.
	maxGroups = 8
)

// cleaner redacts and shortens messages and attributes.
type cleaner struct {
	redact func(string) string
	json   bool
}

func (o *output) cleaner() cleaner {
	c := cleaner{redact: func(text string) string { return text }, json: o.options.JSON}
	if redact := o.redact.Load(); redact != nil {
		c.redact = *redact
	}
	return c
}

// text returns a redacted string of at most MaxLine bytes.
func (c cleaner) text(text string) string {
	if len(text) > maxInput {
		text = c.redact(text[:maxInput])
		// The end may be the beginning of a secret, which redact doesn't recognize.
		return shorten(text[:max(0, len(text)-MaxLine)]+" …", MaxLine)
	}
	return shorten(c.redact(text), MaxLine)
}

func (c cleaner) attrs(attrs []slog.Attr, depth int) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		clean[i] = slog.Attr{Key: attr.Key, Value: c.value(attr.Value.Resolve(), depth)}
	}
	return clean
}

func (c cleaner) value(value slog.Value, depth int) slog.Value {
	switch value.Kind() {
	case slog.KindString:
		return slog.StringValue(c.text(value.String()))
	case slog.KindGroup:
		if depth == maxGroups {
			return slog.StringValue("…")
		}
		return slog.GroupValue(c.attrs(value.Group(), depth+1)...)
	case slog.KindAny:
		return c.any(value)
	default:
		return value // such as a number or a time
	}
}

// any returns a value unchanged if it is short and contains no secret. Otherwise it
// returns the value's redacted string.
func (c cleaner) any(value slog.Value) slog.Value {
	if err, ok := value.Any().(error); ok {
		return slog.StringValue(c.text(safely(err.Error)))
	}
	text := safely(func() string { return c.format(value.Any()) })
	if clean := c.text(text); clean != text {
		return slog.StringValue(clean)
	}
	return value
}

// format returns a value in the format of the log.
func (c cleaner) format(value any) string {
	if c.json {
		if text, err := json.Marshal(value); err == nil {
			return string(text)
		}
	}
	return fmt.Sprintf("%+v", value)
}

// safely returns the result of format, or a placeholder if format panics, as methods of
// nil pointers may.
func safely(format func() string) (text string) {
	defer func() {
		if recover() != nil {
			text = "(panic while formatting the value)"
		}
	}()
	return format()
}

// shortened returns a copy of the entry with strings of at most limit bytes. The message
// and the keys may have at least 64.
func (e entry) shortened(limit int) entry {
	e.message = shorten(e.message, max(limit, 64))
	e.attrs = shortenAttrs(e.attrs, limit)
	return e
}

func shortenAttrs(attrs []slog.Attr, limit int) []slog.Attr {
	short := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		short[i] = slog.Attr{Key: shorten(attr.Key, max(limit, 64)), Value: attr.Value}
		switch attr.Value.Kind() {
		case slog.KindString:
			short[i].Value = slog.StringValue(shorten(attr.Value.String(), limit))
		case slog.KindGroup:
			short[i].Value = slog.GroupValue(shortenAttrs(attr.Value.Group(), limit)...)
		case slog.KindAny:
			if text := safely(func() string { return fmt.Sprintf("%+v", attr.Value.Any()) }); len(text) > limit {
				short[i].Value = slog.StringValue(shorten(text, limit))
			}
		default: // Other kinds are short.
		}
	}
	return short
}

// shorten shortens a string to at most limit bytes and appends its original length.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	suffix := "… (" + strconv.Itoa(len(text)) + " bytes)"
	return strings.ToValidUTF8(text[:max(0, limit-len(suffix))], "") + suffix
}

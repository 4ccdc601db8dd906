package logging

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

const (
	// maxSeen is how much of a text is looked at: enough for every line, and for a
	// key that begins in it.
	maxSeen = 8 * MaxLine

	// minText is how short texts become until attributes are left out.
	minText = 24

	// maxGroups is how deeply groups nest.
	maxGroups = 8
)

// cleaner makes values fit for a log.
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

// text returns a text without secrets, of a length that a line may have.
func (c cleaner) text(text string) string {
	if len(text) > maxSeen {
		text = c.redact(text[:maxSeen])
		// A secret may begin at the end, and not be known by its beginning.
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
		return value // a number, a time
	}
}

// any keeps a value that shows nothing, and is short. Otherwise it becomes a text.
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

// format is a value as the log writes it.
func (c cleaner) format(value any) string {
	if c.json {
		if text, err := json.Marshal(value); err == nil {
			return string(text)
		}
	}
	return fmt.Sprintf("%+v", value)
}

// safely returns what format does, or that it panics, as a method of a nil pointer may.
func safely(format func() string) (text string) {
	defer func() {
		if recover() != nil {
			text = "a value that can't be shown"
		}
	}()
	return format()
}

// shortened returns an entry whose texts have at most limit bytes.
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
		default: // short already
		}
	}
	return short
}

// shorten cuts a text to at most limit bytes, and says how many are missing.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	missing := "… (" + strconv.Itoa(len(text)) + " bytes)"
	return strings.ToValidUTF8(text[:max(0, limit-len(missing))], "") + missing
}

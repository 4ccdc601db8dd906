package restjson

import (
	"google.golang.org/protobuf/proto"
)

// Constant is a member with a constant value. It is absent if JSON is empty.
type Constant struct {
	Name, JSON string
	// Same are other values that mean the same, as JSON text. An extra_json may
	// have them.
	Equivalent []string
}

// Operation is the REST operation of an RPC.
type Operation struct {
	// Procedure is the HTTP path of the RPC: `/openaiconnect.chat.v1.ChatService/GetChatCompletion`.
	Procedure string
	// Method is the HTTP method.
	Method string
	// Target appends the path, which begins with a slash, and the query. The error
	// is a [*FieldError].
	Target func(b []byte, request proto.Message) ([]byte, error)
	// HasBody is whether the request has a JSON body.
	HasBody bool
	// Fixed are the members of the body that the RPC sets.
	Fixed []Constant
	// NewRequest returns an empty request message. It is [Encodable] if HasBody.
	NewRequest func() proto.Message
	// NewResponse returns an empty response message.
	NewResponse func() Response
	// Stream is set if the response is a stream of Server-Sent Events.
	Stream *Stream
}

// Response is the response message of a REST operation.
type Response interface {
	proto.Message
	Decodable
	// GetExtraJson returns the members that the message does not define.
	GetExtraJson() string
}

// Stream defines when a stream of Server-Sent Events is complete.
type Stream struct {
	// Done is the data of the event that ends the stream.
	Done string
	// Track records in p the progress of the stream's items in a message.
	Track func(p *Progress, message proto.Message)
	// Count returns the number of items of the request.
	Count func(request proto.Message) int
	// UnaryVariant is set if a unary RPC returns the same response in one message.
	UnaryVariant *UnaryVariant
}

// Progress tracks which items of a stream have begun and which are complete. The
// zero value is ready to use.
type Progress struct {
	items    map[int32]bool
	complete int
}

// Record records a piece of an item and whether it completes the item.
func (p *Progress) Record(item int32, complete bool) {
	if p.items == nil {
		p.items = make(map[int32]bool)
	}
	was := p.items[item]
	p.items[item] = was || complete
	if complete && !was {
		p.complete++
	}
}

// Items returns the number of items that have begun.
func (p *Progress) Items() int { return len(p.items) }

// Complete reports whether at least count items are complete and no other item has
// begun.
func (p *Progress) Complete(count int) bool {
	return p.complete >= max(count, 1) && p.complete == len(p.items)
}

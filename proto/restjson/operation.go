package restjson

import (
	"google.golang.org/protobuf/proto"
)

// Constant is a member of a request's body that the RPC decides. Without JSON
// text it is absent.
type Constant struct {
	Name, JSON string
	// Same are other values that mean the same, as JSON text. An extra_json may
	// have them.
	Same []string
}

// Operation is the REST operation that an RPC maps to.
type Operation struct {
	// Procedure is the RPC's path: `/openaiconnect.chat.v1.ChatService/GetChatCompletion`.
	Procedure string
	// Method is the HTTP method.
	Method string
	// Target appends the path, which begins with a slash, and the query. The
	// error is a [*FieldError].
	Target func(b []byte, request proto.Message) ([]byte, error)
	// HasBody says whether the request has a JSON body.
	HasBody bool
	// Decided are the members of the body that the RPC decides.
	Decided []Constant
	// NewRequest makes an empty request message. It is [Encodable] if HasBody.
	NewRequest func() proto.Message
	// NewResponse makes an empty response message.
	NewResponse func() Response
	// Stream is set where the response is a stream of Server-Sent Events.
	Stream *Stream
}

// Response is a message that a REST operation answers with.
type Response interface {
	proto.Message
	Decodable
	// GetExtraJson returns the members that the message cannot represent.
	GetExtraJson() string
}

// Stream says when a stream of Server-Sent Events is finished.
type Stream struct {
	// Done is the data of the event that ends it.
	Done string
	// Track notes in p what a message says of the progress of the stream's
	// items.
	Track func(p *Progress, message proto.Message)
	// Count is how many items the request asks for.
	Count func(request proto.Message) int
	// Whole is set where another operation gives the same answer in one message.
	Whole *Whole
}

// Progress is which of a stream's items have begun, and which are complete. The
// zero value is a stream that has not begun.
type Progress struct {
	items    map[int32]bool
	complete int
}

// Note notes a piece of an item, and whether it completes the item.
func (p *Progress) Note(item int32, complete bool) {
	if p.items == nil {
		p.items = make(map[int32]bool)
	}
	was := p.items[item]
	p.items[item] = was || complete
	if complete && !was {
		p.complete++
	}
}

// Items returns how many items have begun.
func (p *Progress) Items() int { return len(p.items) }

// Complete reports whether at least count items, and all that have begun, are
// complete.
func (p *Progress) Complete(count int) bool {
	return p.complete >= max(count, 1) && p.complete == len(p.items)
}

package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// List returns all stored completions that the request asks for, over all pages:
// its limit is the size of a page. Each page is fetched when the loop comes to
// it. After an error there is nothing more.
func (s *ChatService) List(ctx context.Context, request *chatv1.ListChatCompletionsRequest) iter.Seq2[*chatv1.ChatCompletion, error] {
	return pages(func(after string) (*chatv1.ChatCompletionList, error) {
		page := proto.CloneOf(request)
		if after != "" {
			page.After = &after
		}
		return retry(ctx, s.maxRetries, withoutKey, func(ctx context.Context) (*chatv1.ChatCompletionList, error) {
			return s.stub.ListChatCompletions(ctx, page)
		})
	})
}

// Messages returns the messages that a stored completion answered, as
// [ChatService.List] does.
func (s *ChatService) Messages(ctx context.Context, request *chatv1.ListChatCompletionMessagesRequest) iter.Seq2[*chatv1.Message, error] {
	return pages(func(after string) (*chatv1.ChatCompletionMessageList, error) {
		page := proto.CloneOf(request)
		if after != "" {
			page.After = &after
		}
		return retry(ctx, s.maxRetries, withoutKey, func(ctx context.Context) (*chatv1.ChatCompletionMessageList, error) {
			return s.stub.ListChatCompletionMessages(ctx, page)
		})
	})
}

// list is a page of a list, of either kind.
type list[T any] interface {
	GetData() []T
	GetLastId() string
	GetHasMore() bool
}

// maxEmptyPages is how many pages without items may follow each other. The loop
// over a list can't be left while there are none.
const maxEmptyPages = 10

// pages returns the items of each page, from that on which the request asks for.
// A page that comes again is an error, since the list would have no end.
func pages[T any, L list[T]](fetch func(after string) (L, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		after := ""
		seen := make(map[[sha256.Size]byte]bool) // Sums, as a cursor may be of any size.
		for empty := 0; ; {
			page, err := fetch(after)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range page.GetData() {
				if !yield(item, nil) {
					return
				}
			}
			if !page.GetHasMore() {
				return
			}
			after = page.GetLastId()
			sum := sha256.Sum256([]byte(after))
			if empty++; len(page.GetData()) > 0 {
				empty = 0
			}
			if after == "" || seen[sum] || empty == maxEmptyPages {
				yield(none, fmt.Errorf("client: the list has more, but no page follows the one that ends at %q", after))
				return
			}
			seen[sum] = true
		}
	}
}

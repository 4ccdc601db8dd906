package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// List returns the stored completions that match the request, across all pages.
// The request's limit is the page size. Pages are fetched on demand. An error is
// the last element.
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

// Messages returns the request messages of a stored completion, across all pages,
// like [ChatService.List].
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

// list is one page of a list.
type list[T any] interface {
	GetData() []T
	GetLastId() string
	GetHasMore() bool
}

// maxEmptyPages is the maximum number of consecutive pages without items. The
// caller cannot leave the loop while there are no items.
const maxEmptyPages = 10

// pages returns the items of all pages, starting at the one that the request
// selects. A repeated cursor is an error, since the list would be endless.
func pages[T any, L list[T]](fetch func(after string) (L, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		after := ""
		seen := make(map[[sha256.Size]byte]bool) // Hashes, since cursors have no size limit.
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
				yield(none, fmt.Errorf("client: the list claims to have more items, but the page after %q is missing or repeated", after))
				return
			}
			seen[sum] = true
		}
	}
}

package restjson_test

import (
	"testing"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	type note struct {
		item     int32
		complete bool
	}
	for _, row := range []struct {
		name  string
		notes []note
		count int
		want  bool
	}{
		{"a stream that has not begun is not complete", nil, 1, false},
		{"nor when no items are asked for", nil, 0, false},
		{"an item that has begun", []note{{0, false}}, 1, false},
		{"an item that is complete", []note{{0, false}, {0, true}}, 1, true},
		{"an item that is complete stays so", []note{{0, true}, {0, false}}, 1, true},
		{"an item that completes twice counts once", []note{{0, true}, {0, true}}, 2, false},
		{"no count means one", []note{{0, true}}, 0, true},
		{"a count that makes no sense means one", []note{{0, true}}, -5, true},
		{"one of two", []note{{0, true}, {1, false}}, 2, false},
		{"one of two, where the other has not begun", []note{{0, true}}, 2, false},
		{"two of two, interleaved and out of order", []note{{1, false}, {0, false}, {1, true}, {0, true}}, 2, true},
		{"an item that nobody asked for must be complete too", []note{{0, true}, {7, false}}, 1, false},
		{"more items than were asked for", []note{{0, true}, {7, true}}, 1, true},
		{"items that don't count from zero", []note{{-1, true}, {5, true}}, 2, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var p restjson.Progress
			for _, n := range row.notes {
				p.Record(n.item, n.complete)
			}
			if got := p.Complete(row.count); got != row.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

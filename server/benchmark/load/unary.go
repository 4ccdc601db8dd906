package load

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// patience is how long an answer may take.
const patience = 30 * time.Second

// Unary is what came of requests.
type Unary struct {
	Requests  int
	Failed    int
	Failure   error // of the first that failed
	Elapsed   time.Duration
	Latencies []time.Duration // of those that did not fail, sorted
}

// RunUnary has each of some callers make one call after another, for a time. It
// returns when all are answered.
func RunUnary(ctx context.Context, call Call, callers int, length time.Duration) Unary {
	results := make([]Unary, callers)
	begin := time.Now()
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i] = callFor(ctx, call, begin.Add(length)) })
	}
	group.Wait()

	all := Unary{Elapsed: time.Since(begin)}
	for _, result := range results {
		all.Requests += result.Requests
		all.Failed += result.Failed
		all.Latencies = append(all.Latencies, result.Latencies...)
		if all.Failure == nil {
			all.Failure = result.Failure
		}
	}
	slices.Sort(all.Latencies)
	return all
}

func callFor(ctx context.Context, call Call, end time.Time) Unary {
	var result Unary
	for begin := time.Now(); begin.Before(end) && ctx.Err() == nil; {
		err := call(ctx)
		now := time.Now()
		result.Requests++
		if err == nil {
			result.Latencies = append(result.Latencies, now.Sub(begin))
		} else if result.Failed++; result.Failure == nil {
			result.Failure = err
		}
		begin = now
	}
	if result.Failure == nil && ctx.Err() != nil {
		result.Failure = errors.New("interrupted")
	}
	return result
}

// Quantile returns the value below which a part of sorted values lies: a half is
// the median. It is 0 of none.
func Quantile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

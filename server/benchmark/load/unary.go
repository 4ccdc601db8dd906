package load

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// responseTimeout is the timeout of a unary request.
const responseTimeout = 30 * time.Second

// Unary holds the measurements of unary requests.
type Unary struct {
	Requests  int
	Failed    int
	Failure   error // of the first failed request
	Elapsed   time.Duration
	Latencies []time.Duration // of successful requests, sorted
}

// RunUnary runs concurrent callers for a period. Each makes sequential calls. RunUnary
// returns when all calls are complete.
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

// Quantile returns a quantile of sorted values, such as the median for 0.5. It returns 0
// without values.
func Quantile(sorted []time.Duration, quantile float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(quantile*float64(len(sorted))), len(sorted)-1)]
}

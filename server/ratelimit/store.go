package ratelimit

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"
	"github.com/valkey-io/valkey-go/valkeylimiter"
)

// store is what is asked of Redis or Valkey. Each of its keys expires, and each
// command is about keys of one slot, as a cluster demands.
type store struct {
	client  valkey.Client
	limiter valkeylimiter.RateLimiterClient
}

// reply is the store's answer.
type reply struct {
	left    int64     // of a window: what the limit has left
	allowed bool      // of a window: what was counted is within the limit
	reset   time.Time // of a window: its end
	taken   bool      // of leases: they were
	held    int64     // of leases: how many are held, these included
	mark    string    // of the mark: its value
}

const (
	prefix = "openai-connect"
	// instancesKey is a set of leases, one for each instance that lives.
	instancesKey = prefix + ":{instances}"
	// markKey has a random value for as long as the store remembers what it was
	// told.
	markKey = prefix + ":{mark}"
	// markLife is longer than any window.
	markLife = 48 * time.Hour
)

// dial connects to a store.
func dial(option valkey.ClientOption) (*store, error) {
	client, err := valkey.NewClient(option)
	if err != nil {
		return nil, err
	}
	limiter, err := valkeylimiter.NewRateLimiter(valkeylimiter.RateLimiterOption{
		ClientBuilder: func(valkey.ClientOption) (valkey.Client, error) { return client, nil },
		KeyPrefix:     prefix,
		Limit:         1, // Each call has its own.
		Window:        time.Minute,
	})
	if err != nil {
		client.Close()
		return nil, err
	}
	return &store{client, limiter}, nil
}

// A call to the store is never canceled: the limiter lends its command's text to
// the connection and takes it back when it returns, by when a canceled command
// may not have been written yet. Whoever waits for a call may stop to, and the
// connection's own timeout ends it.

// count adds n to a window, or only looks at it if n is 0.
func (s *store) count(c counter, n int64) (reply, error) {
	limit := valkeylimiter.WithCustomRateLimit(int(c.limit), c.kind.length())
	result, err := s.limiter.AllowN(context.Background(), identifier(c), min(n, maxTokens), limit)
	if err != nil {
		return reply{}, err
	}
	return reply{left: result.Remaining, allowed: result.Allowed, reset: time.UnixMilli(result.ResetAtMs)}, nil
}

// identifier names what is counted. The limiter puts it between braces, in which
// another brace would end a cluster's hash tag.
func identifier(c counter) string { return escape.Replace(c.scope) + ":" + string(c.kind) }

var escape = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")

// leasesKey is the set of the leases of a scope's open streams.
func leasesKey(scope string) string {
	return prefix + ":{" + identifier(counter{scope: scope, kind: ConcurrentStreams}) + "}"
}

// leases takes leases, or renews those that are held: all, if fewer than a limit
// are held that have not expired, and a limit below 0 is none. A lease is a member
// whose score is when it expires, by the store's clock.
var leases = valkey.NewLuaScript(`
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local life, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
local held = redis.call("ZCARD", KEYS[1])
if limit >= 0 and held >= limit then
  return { 0, held }
end
for i = 3, #ARGV do
  held = held + redis.call("ZADD", KEYS[1], now + life, ARGV[i])
end
redis.call("PEXPIRE", KEYS[1], life)
return { 1, held }
`)

// noLimit is the limit of leases that are renewed.
const noLimit = -1

// take takes or renews leases.
func (s *store) take(key string, life time.Duration, limit int64, names ...string) (reply, error) {
	args := append([]string{strconv.FormatInt(life.Milliseconds(), 10), strconv.FormatInt(limit, 10)}, names...)
	result, err := leases.Exec(context.Background(), s.client, []string{key}, args).AsIntSlice()
	if err != nil {
		return reply{}, err
	}
	if len(result) != 2 {
		return reply{}, fmt.Errorf("the store answered %d numbers instead of 2", len(result))
	}
	return reply{taken: result[0] == 1, held: result[1]}, nil
}

// give gives leases back.
func (s *store) give(key string, names ...string) (reply, error) {
	command := s.client.B().Zrem().Key(key).Member(names...).Build()
	return reply{}, s.client.Do(context.Background(), command).Error()
}

// mark returns the store's mark, which is value if it has none yet. It is another
// than before if the store has forgotten what it was told.
func (s *store) mark(value string) (reply, error) {
	b := s.client.B()
	var text string
	for i, result := range s.client.DoMulti(context.Background(),
		b.Set().Key(markKey).Value(value).Nx().Px(markLife).Build(),
		b.Pexpire().Key(markKey).Milliseconds(markLife.Milliseconds()).Build(),
		b.Get().Key(markKey).Build(),
	) {
		err := result.Error()
		if i == 0 && valkey.IsValkeyNil(err) {
			continue // It has one.
		}
		if err != nil {
			return reply{}, err
		}
		if i == 2 {
			if text, err = result.ToString(); err != nil {
				return reply{}, err
			}
		}
	}
	return reply{mark: text}, nil
}

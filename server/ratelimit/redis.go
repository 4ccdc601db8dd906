package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
)

// redis accesses a database of Redis or Valkey. All of its keys expire, and the keys of
// each command are in one slot, as a cluster requires.
type redis struct {
	option   valkey.ClientOption
	timeout  time.Duration // of each command
	lease    time.Duration
	instance string // the name of this instance

	client atomic.Pointer[valkey.Client] // nil until connect has succeeded
}

// connect connects to the database unless it is connected. The client reconnects
// automatically. connect is not safe for concurrent use.
func (r *redis) connect() error {
	if r.client.Load() != nil {
		return nil
	}
	client, err := valkey.NewClient(r.option)
	if err != nil {
		return err
	}
	r.client.Store(&client)
	return nil
}

// close closes the connections. Commands in progress fail.
func (r *redis) close() {
	if client := r.client.Load(); client != nil {
		(*client).Close()
	}
}

const (
	prefix = "openai-connect"
	// instancesKey is the set of leases of the live instances.
	instancesKey = prefix + ":{instances}"
)

// key returns the key of a counter. Its hash tag is the scope up to the first slash.
func (c *counter) key() string {
	client, model, found := strings.Cut(c.scope, "/")
	if found {
		model = "/" + model
	}
	return prefix + ":{" + escapeBraces.Replace(client) + "}" + escapeBraces.Replace(model) + ":" + string(c.kind)
}

// escapeBraces escapes the characters that would end a hash tag.
var escapeBraces = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")

// leaseName returns the name of the lease of a stream.
func (r *redis) leaseName(stream uint64) string {
	return r.instance + "-" + strconv.FormatUint(stream, 36)
}

// admitScript checks a request against all of its counters and counts it if each is below
// its limit. ARGV has the duration and the name of a lease, then for each key the limit,
// the length of the window in milliseconds, or 0 for leases of streams, and the cost. It
// returns for each key the count before the request and the milliseconds until its window
// ends.
//
// A lease is a member of a sorted set whose score is the time when it expires.
var admitScript = valkey.NewLuaScript(`
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local room, counts = true, {}
for i, key in ipairs(KEYS) do
  local limit, length, used, reset = tonumber(ARGV[3 * i]), ARGV[3 * i + 1], 0, 0
  if length == "0" then
    redis.call("ZREMRANGEBYSCORE", key, "-inf", now)
    used = redis.call("ZCARD", key)
  else
    redis.call("SET", key, 0, "PX", length, "NX")
    used, reset = tonumber(redis.call("GET", key)), redis.call("PTTL", key)
  end
  room = room and used < limit
  counts[2 * i - 1], counts[2 * i] = used, reset
end
for i, key in ipairs(KEYS) do
  if not room then
    break
  elseif ARGV[3 * i + 1] == "0" then
    redis.call("ZADD", key, now + ARGV[1], ARGV[2])
    redis.call("PEXPIRE", key, ARGV[1])
  else
    redis.call("INCRBY", key, ARGV[3 * i + 2])
  end
end
return counts
`)

// admit returns the counts before a request, and counts the request if it is admitted.
func (r *redis) admit(counters []counter, stream uint64) ([]count, error) {
	keys := make([]string, len(counters))
	args := make([]string, 0, 2+3*len(counters))
	args = append(args, milliseconds(r.lease), r.leaseName(stream))
	for i := range counters {
		c := &counters[i]
		keys[i] = c.key()
		args = append(args, strconv.FormatInt(c.limit, 10), milliseconds(c.kind.window()), strconv.FormatInt(c.cost(), 10))
	}
	values, err := r.run(admitScript, keys, args).AsIntSlice()
	if err != nil {
		return nil, err
	}
	if len(values) != 2*len(counters) {
		return nil, fmt.Errorf("response has %d numbers, want %d", len(values), 2*len(counters))
	}
	counts := make([]count, len(counters))
	for i := range counts {
		counts[i] = count{values[2*i], time.Duration(max(values[2*i+1], 0)) * time.Millisecond}
	}
	return counts, nil
}

// endScript adds tokens to windows and releases leases. ARGV has the name of the lease and
// the tokens, then for each key the length of the window, or 0 for leases.
var endScript = valkey.NewLuaScript(`
for i, key in ipairs(KEYS) do
  local length = ARGV[i + 2]
  if length == "0" then
    redis.call("ZREM", key, ARGV[1])
  else
    redis.call("SET", key, 0, "PX", length, "NX")
    redis.call("INCRBY", key, ARGV[2])
  end
end
`)

// end counts the tokens of a request and releases the lease of its stream.
func (r *redis) end(counters []counter, stream uint64, tokens int64) error {
	var keys []string
	args := []string{r.leaseName(stream), strconv.FormatInt(tokens, 10)}
	for i := range counters {
		if c := &counters[i]; c.kind == ConcurrentStreams || c.kind.countsTokens() && tokens > 0 {
			keys, args = append(keys, c.key()), append(args, milliseconds(c.kind.window()))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	err := r.run(endScript, keys, args).Error()
	if valkey.IsValkeyNil(err) { // The script returns nothing.
		return nil
	}
	return err
}

// leaseScript acquires or renews leases and returns the number of leases. ARGV has their
// duration, then their names.
var leaseScript = valkey.NewLuaScript(`
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
for i = 2, #ARGV do
  redis.call("ZADD", KEYS[1], now + ARGV[1], ARGV[i])
end
redis.call("PEXPIRE", KEYS[1], ARGV[1])
return redis.call("ZCARD", KEYS[1])
`)

// register renews the lease of this instance and returns the number of live instances.
func (r *redis) register() (instances int64, err error) {
	return r.run(leaseScript, []string{instancesKey}, []string{milliseconds(r.lease), r.instance}).AsInt64()
}

// renew renews the leases of open streams of a scope.
func (r *redis) renew(scope string, streams []uint64) error {
	args := append([]string{milliseconds(r.lease)}, r.leaseNames(streams)...)
	return r.run(leaseScript, []string{streamsKey(scope)}, args).Error()
}

// release releases the leases of streams of a scope.
func (r *redis) release(scope string, streams []uint64) error {
	if len(streams) == 0 {
		return nil
	}
	return r.remove(streamsKey(scope), r.leaseNames(streams)...)
}

// leave releases the leases of this instance and its open streams.
func (r *redis) leave(open map[string][]uint64) error {
	err := r.remove(instancesKey, r.instance)
	for scope, streams := range open {
		if err == nil {
			err = r.release(scope, streams)
		}
	}
	return err
}

func (r *redis) leaseNames(streams []uint64) []string {
	names := make([]string, len(streams))
	for i, stream := range streams {
		names[i] = r.leaseName(stream)
	}
	return names
}

func streamsKey(scope string) string { return (&counter{scope: scope, kind: ConcurrentStreams}).key() }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// remove removes leases from a set.
func (r *redis) remove(key string, names ...string) error {
	return r.do(func(client valkey.Client) valkey.ValkeyResult {
		return client.Do(context.Background(), client.B().Zrem().Key(key).Member(names...).Build())
	}).Error()
}

func (r *redis) run(script *valkey.Lua, keys, args []string) valkey.ValkeyResult {
	return r.do(func(client valkey.Client) valkey.ValkeyResult {
		return script.Exec(context.Background(), client, keys, args)
	})
}

var errTimeout = errors.New("no response in time")

// do returns the result of a command, or errTimeout. A command that times out continues
// until its connection's own timeout ends it.
func (r *redis) do(command func(valkey.Client) valkey.ValkeyResult) valkey.ValkeyResult {
	client := *r.client.Load()
	done := make(chan valkey.ValkeyResult, 1)
	go func() { done <- command(client) }()
	timer := time.NewTimer(r.timeout)
	defer timer.Stop()
	select {
	case result := <-done:
		return result
	case <-timer.C:
		return valkey.NewErrorResult(errTimeout)
	}
}

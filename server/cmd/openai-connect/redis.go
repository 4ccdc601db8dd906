package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"github.com/openai-connect/openai-connect/server/access"
	"github.com/openai-connect/openai-connect/server/limits"
)

// redisFlags are about where the limits of tokens are counted.
type redisFlags struct {
	Redis             string `help:"Redis or Valkey to count the limits of --keys in, for all servers that share it: redis://HOST:6379, or rediss:// with TLS. By default each server counts for itself." placeholder:"URL"`
	RedisPasswordFile string `help:"File with the password of --redis." placeholder:"FILE"`
	RedisInstances    int64  `help:"How many servers share it at least: each holds to its share of the limits while Redis is away, even if that is so from the beginning." default:"1"`
}

// redisVariable is the environment variable of --redis.
const redisVariable = "OPENAI_CONNECT_REDIS"

// check says what is wrong with the flags' values. Keys is the file of tokens.
func (f *redisFlags) check(keys string) error {
	switch {
	case f.Redis == "" && f.RedisPasswordFile != "":
		return errors.New("--redis-password-file: is of no use without --redis")
	case f.RedisInstances < 1 || f.RedisInstances > 1<<20:
		return fmt.Errorf("--redis-instances: %d is out of bounds: give a number from 1 to %d", f.RedisInstances, 1<<20)
	case f.Redis == "":
		return nil
	case keys == "":
		return errors.New("--redis: is of no use without --keys, whose limits are counted there")
	}
	at, err := url.Parse(f.Redis)
	if err != nil || at.Host == "" {
		return errors.New("--redis: is no URL such as redis://127.0.0.1:6379")
	}
	if _, has := at.User.Password(); has {
		if f.RedisPasswordFile != "" {
			return errors.New("--redis and --redis-password-file: both have the password: choose one")
		}
		if os.Getenv(redisVariable) != f.Redis {
			return errors.New("--redis: has a password, which every user of this machine sees there: give it by --redis-password-file, or the URL by " + redisVariable)
		}
	}
	return nil
}

// limiter returns what counts the limits.
func (f *redisFlags) limiter(ctx context.Context, logger *slog.Logger) (limits.Limiter, error) {
	if f.Redis == "" {
		return limits.NewMemory(), nil
	}
	where := f.Redis
	if f.RedisPasswordFile != "" {
		password, err := access.ReadSecret(f.RedisPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("--redis-password-file: %w", err)
		}
		at, err := url.Parse(where)
		if err != nil {
			return nil, errors.New("--redis: is no URL")
		}
		at.User = url.UserPassword(at.User.Username(), password.Reveal())
		where = at.String()
	}
	shared, err := limits.OpenShared(ctx, where, limits.Options{Logger: logger, Instances: f.RedisInstances})
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	return shared, nil
}

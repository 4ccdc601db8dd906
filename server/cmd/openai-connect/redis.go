package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

// redisFlags configure the store of rate limits.
type redisFlags struct {
	Redis             string `help:"URL of a Redis or Valkey server that counts the limits of --clients, for all servers that use it: redis://HOST:6379, or rediss:// with TLS. Default: each server counts for itself." placeholder:"URL"`
	RedisPasswordFile string `help:"File with the password of --redis. It is read at each login." placeholder:"FILE"`
}

// check returns an error if the URL is invalid, or has a password in a place where
// other users may see it.
func (f *redisFlags) check(given givenFlags) error {
	if f.Redis == "" {
		return nil
	}
	if err := ratelimit.CheckURL(f.Redis); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	at, err := url.Parse(f.Redis)
	if err != nil {
		return errors.New("--redis: invalid URL: want one such as redis://127.0.0.1:6379")
	}
	const variable = "OPENAI_CONNECT_REDIS"
	switch _, hasPassword := at.User.Password(); {
	case hasPassword && f.RedisPasswordFile != "":
		return errors.New("--redis and --redis-password-file: both have a password: remove one of them")
	case hasPassword && given["redis"] != variable:
		return errors.New("--redis: the URL has a password, which others may see: use --redis-password-file, or set the URL in " + variable)
	}
	return nil
}

// limiter returns the limiter of clients.
func (f *redisFlags) limiter(ctx context.Context, logger *slog.Logger) (ratelimit.Limiter, error) {
	if f.Redis == "" {
		return ratelimit.NewMemory(), nil
	}
	options := ratelimit.Options{Logger: logger}
	if f.RedisPasswordFile != "" {
		first, err := secret.ReadFile(f.RedisPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("--redis-password-file: %w", err)
		}
		options.Password = (&passwordFile{path: f.RedisPasswordFile, logger: logger, last: first}).current
	}
	shared, err := ratelimit.OpenShared(ctx, f.Redis, options)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	return shared, nil
}

// passwordFile is a file with a password that may change.
type passwordFile struct {
	path   string
	logger *slog.Logger

	mu      sync.Mutex
	last    secret.Secret     // guarded by mu: of the last successful read
	reading chan passwordRead // guarded by mu: receives the result of the read in progress; nil without one
	failing bool              // guarded by mu: the last read failed
}

type passwordRead struct {
	secret secret.Secret
	err    error
}

// passwordPatience bounds a read of the file, which may hang on a network mount.
const passwordPatience = time.Second

// current reads the file and returns the password. If reading fails, it returns the
// previous password.
func (p *passwordFile) current() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading == nil {
		done := make(chan passwordRead, 1)
		p.reading = done
		go func() {
			secret, err := secret.ReadFile(p.path)
			done <- passwordRead{secret, err}
		}()
	}
	timer := time.NewTimer(passwordPatience)
	defer timer.Stop()
	var err error
	select {
	case read := <-p.reading:
		p.reading = nil
		if err = read.err; err == nil {
			p.last = read.secret
		}
	case <-timer.C:
		err = fmt.Errorf("read %s: no data after %v", p.path, passwordPatience)
	}
	if err != nil && !p.failing {
		p.logger.Warn("failed to read --redis-password-file, keeping the previous password", slog.Any("error", err))
	}
	p.failing = err != nil
	return p.last.Reveal(), nil
}

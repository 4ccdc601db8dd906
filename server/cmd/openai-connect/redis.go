package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// redisFlags are about where the limits of tokens are counted.
type redisFlags struct {
	Redis             string `help:"Redis or Valkey to count the limits of --clients in, for all servers that share it: redis://HOST:6379, or rediss:// with TLS. By default each server counts for itself." placeholder:"URL"`
	RedisPasswordFile string `help:"File with the password of --redis. It is read again at each login." placeholder:"FILE"`
}

// redisVariable is the environment variable of --redis.
const redisVariable = "OPENAI_CONNECT_REDIS"

// check says what is wrong with the flags' values. Keys is the file of tokens.
func (f *redisFlags) check(keys string) error {
	switch {
	case f.Redis == "" && f.RedisPasswordFile != "":
		return errors.New("--redis-password-file: is of no use without --redis")
	case f.Redis == "":
		return nil
	case keys == "":
		return errors.New("--redis: is of no use without --clients, whose limits are counted there")
	}
	if err := ratelimit.CheckURL(f.Redis); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	at, err := url.Parse(f.Redis)
	if err != nil {
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
func (f *redisFlags) limiter(ctx context.Context, logger *slog.Logger) (ratelimit.Limiter, error) {
	if f.Redis == "" {
		return ratelimit.NewMemory(), nil
	}
	options := ratelimit.Options{Logger: logger}
	if f.RedisPasswordFile != "" {
		first, err := auth.ReadSecret(f.RedisPasswordFile)
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
	last    auth.Secret       // guarded by mu: the last that could be read
	reading chan passwordRead // guarded by mu: gets the result of a read that has begun; nil for none
	failing bool              // guarded by mu: the last read failed
}

type passwordRead struct {
	secret auth.Secret
	err    error
}

// passwordPatience is how long a read of the file may take. A file on a network
// mount may hang.
const passwordPatience = time.Second

// current reads the file and returns the password. If the file can't be read it
// returns the last password that could.
func (p *passwordFile) current() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading == nil {
		done := make(chan passwordRead, 1)
		p.reading = done
		go func() {
			secret, err := auth.ReadSecret(p.path)
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
		err = fmt.Errorf("read %s: no answer in %v", p.path, passwordPatience)
	}
	if err != nil && !p.failing {
		p.logger.Warn("--redis-password-file: the password cannot be read again and stays as it was", slog.Any("error", err))
	}
	p.failing = err != nil
	return p.last.Reveal(), nil
}

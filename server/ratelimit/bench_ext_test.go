package ratelimit_test

import (
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/redistest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

func BenchmarkAdmit(b *testing.B) {
	scopes := append(one("alice", ratelimit.Limits{RequestsPerMinute: 1e9, TokensPerMinute: 1e12, TokensPerDay: 1e12}),
		one("alice/gpt", ratelimit.Limits{RequestsPerMinute: 1e9})...)
	run := func(b *testing.B, l ratelimit.Limiter) {
		b.Helper()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				d := l.Admit(b.Context(), scopes, false)
				if d.Rejection != nil {
					b.Error(d.Rejection)
					return
				}
				d.End(10)
			}
		})
	}
	b.Run("local", func(b *testing.B) { run(b, ratelimit.NewMemory()) })
	b.Run("shared", func(b *testing.B) { run(b, open(b, redistest.Start(b).URL)) })
}

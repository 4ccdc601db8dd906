package lineartest

import (
	"strings"
	"testing"
)

// failed is a testing.TB that counts errors.
type failed struct {
	testing.TB

	errors int
}

func (f *failed) Helper()               {}
func (f *failed) Errorf(string, ...any) { f.errors++ }
func (f *failed) Fatalf(string, ...any) { f.errors++ }

func TestCheck_DistinguishesLinearFromQuadratic(t *testing.T) {
	linear := new(failed)
	Check(linear, 1<<22, func(size int) func() {
		text := strings.Repeat("ab", size/2)
		return func() { _ = strings.Count(text, "ba") }
	})
	if linear.errors > 0 {
		t.Error("got an error for a linear function")
	}
	quadratic := new(failed)
	Check(quadratic, 1<<17, func(size int) func() {
		text := strings.Repeat("a", size)
		return func() {
			for i := range text {
				_ = strings.Count(text[i:], "b")
			}
		}
	})
	if quadratic.errors == 0 {
		t.Error("got no error for a quadratic function")
	}
}

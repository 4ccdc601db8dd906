package main

import "testing"

func TestFileDescriptors_AreDividedBetweenClientsAndUpstreams(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		files                 uint64
		maxConnections, calls int
		wantConnections       int
		wantCalls             int
	}{
		{1 << 20, 12000, 12000, 12000, 12000},
		{24128, 12000, 12000, 12000, 12000},
		{24127, 12000, 12000, 12000, 11999},
		{20000, 12000, 12000, 12000, 7872},
		{18127, 12000, 12000, 8999, 9000},
		{4096, 12000, 12000, 1984, 1984},
		{1024, 12000, 12000, 448, 448},
		{1024, 12000, 100, 796, 100},
		{1024, 100, 12000, 100, 796},
		{1 << 63, 1 << 20, 1 << 20, 1 << 20, 1 << 20},
		{64, 12000, 12000, 16, 16},
		{2, 12000, 12000, 1, 1},
		{0, 12000, 12000, 1, 1},
	} {
		connections, calls := divideFiles(row.files, row.maxConnections, row.calls)
		if connections < row.wantConnections || connections > row.wantConnections+1 || calls < row.wantCalls-1 || calls > row.wantCalls+1 {
			t.Errorf("%+v: got %d and %d", row, connections, calls)
		}
		if total := uint64(connections) + uint64(calls); row.files > 2*reservedFiles && total+reservedFiles > row.files {
			t.Errorf("%+v: got %d and %d, which exceed the limit", row, connections, calls)
		}
	}
}

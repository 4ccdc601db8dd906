package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// target is a ratio of ours with an upper limit.
type target struct {
	title       string
	over, under figureID
	most        float64
}

// targets returns the targets for the measures of this run.
func (r *Result) targets() []target {
	fewest, most := r.streams()
	few, many := fewest.Name, most.Name
	const unary, latency = "unary", "latency"
	return []target{
		{"raw, CPU per request, relative to nginx", figureID{unary, raw, CPU}, figureID{unary, nginx, CPU}, 2},
		{"raw, CPU per request, relative to ReverseProxy", figureID{unary, raw, CPU}, figureID{unary, reverseProxy, CPU}, 0.45},
		{"raw, added p50 at 1 connection, relative to nginx", figureID{latency, raw, AddedP50}, figureID{latency, nginx, AddedP50}, 1.3},
		{"raw, CPU per event, " + few + ", relative to nginx", figureID{few, raw, CPU}, figureID{few, nginx, CPU}, 1.5},
		{"raw, memory per stream, " + many + ", relative to ReverseProxy", figureID{many, raw, Memory}, figureID{many, reverseProxy, Memory}, 0.5},
		{"gRPC, memory per stream, " + many + ", relative to ReverseProxy", figureID{many, grpc, Memory}, figureID{many, reverseProxy, Memory}, 0.7},
		{"gRPC, CPU per request, relative to vanguard", figureID{unary, grpc, CPU}, figureID{unary, vanguard, CPU}, 0.35},
		{"gRPC, CPU per request, relative to ReverseProxy (raw)", figureID{unary, grpc, CPU}, figureID{unary, reverseProxy, CPU}, 0.9},
		{"gRPC, CPU per event, " + few + ", relative to ours raw", figureID{few, grpc, CPU}, figureID{few, raw, CPU}, 1.2},
		{"gRPC, bytes per event, " + few + ", relative to ours raw", figureID{few, grpc, Wire}, figureID{few, raw, Wire}, 0.5},
	}
}

// streams returns the measures with the fewest and the most streams, with a plain
// upstream, if any.
func (r *Result) streams() (few, many Measure) {
	for _, m := range r.Measures {
		if m.Kind != Streams || m.Upstream != Plain {
			continue
		}
		if few.Name == "" || m.Streams < few.Streams {
			few = m
		}
		if m.Streams > many.Streams {
			many = m
		}
	}
	return few, many
}

// writeTargets writes whether the targets are met. It omits targets without figures.
func (r *Result) writeTargets(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, target := range r.targets() {
		ratio, found := r.ratio(target.over, target.under)
		if !found {
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\tat most %s\n", target.title, ratio, verdict(ratio.Median <= target.most), number(target.most))
	}
	for _, m := range r.Measures {
		if m.Kind != Streams {
			continue
		}
		for _, contender := range r.Ours {
			if cut, found := r.Total(m.Name, contender, Failed); found {
				fmt.Fprintf(table, "%s, streams cut short, %s\t%.0f\t%s\tnone\n", contender, m.Name, cut, verdict(cut == 0))
			}
		}
	}
	return table.Flush()
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "NOT MET"
}

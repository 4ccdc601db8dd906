package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// target is a ratio that ours shall not be above.
type target struct {
	title       string
	over, under Place
	most        float64
}

// targets returns what is aimed at, in the measures of this run.
func (r *Result) targets() []target {
	fewest, most := r.streams()
	few, many := fewest.Name, most.Name
	const unary, latency = "unary", "latency"
	return []target{
		{"raw, CPU per request, of nginx's", Place{unary, raw, CPU}, Place{unary, nginx, CPU}, 2},
		{"raw, CPU per request, of ReverseProxy's", Place{unary, raw, CPU}, Place{unary, reverseProxy, CPU}, 0.45},
		{"raw, added p50 at 1 connection, of nginx's", Place{latency, raw, AddedP50}, Place{latency, nginx, AddedP50}, 1.3},
		{"raw, CPU per event, " + few + ", of nginx's", Place{few, raw, CPU}, Place{few, nginx, CPU}, 1.5},
		{"raw, memory per stream, " + many + ", of ReverseProxy's", Place{many, raw, Memory}, Place{many, reverseProxy, Memory}, 0.5},
		{"gRPC, memory per stream, " + many + ", of ReverseProxy's", Place{many, grpc, Memory}, Place{many, reverseProxy, Memory}, 0.7},
		{"gRPC, CPU per request, of vanguard's", Place{unary, grpc, CPU}, Place{unary, vanguard, CPU}, 0.35},
		{"gRPC, CPU per request, of ReverseProxy's raw", Place{unary, grpc, CPU}, Place{unary, reverseProxy, CPU}, 0.9},
		{"gRPC, CPU per event, " + few + ", of our raw", Place{few, grpc, CPU}, Place{few, raw, CPU}, 1.2},
		{"gRPC, bytes per event, " + few + ", of our raw", Place{few, grpc, Wire}, Place{few, raw, Wire}, 0.5},
	}
}

// streams returns the measures with the fewest and with the most streams, over
// the plain upstream, if any.
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

// Targets writes which targets are met. One that this run has no figures for is
// left out.
func (r *Result) Targets(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, target := range r.targets() {
		ratio, found := r.Ratio(target.over, target.under)
		if !found {
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\tat most %s\n", target.title, ratio, verdict(ratio.Median <= target.most), number(target.most))
	}
	for _, m := range r.Measures {
		if m.Kind != Streams {
			continue
		}
		for _, subject := range r.Ours {
			if cut, found := r.Total(m.Name, subject, Failed); found {
				fmt.Fprintf(table, "%s, streams cut short, %s\t%.0f\t%s\tnone\n", subject, m.Name, cut, verdict(cut == 0))
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

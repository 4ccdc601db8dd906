package report

import (
	"fmt"
	"image/color"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// panel is a bar chart of a metric.
type panel struct {
	title   string
	measure string
	metric  Metric
}

// Plot writes bar charts of the medians of the main metrics to an SVG file. It omits
// metrics without figures.
func (r *Result) Plot(file string) error {
	few, many := r.streams()
	var panels []*plot.Plot
	for _, panel := range []panel{
		{"CPU per unary request, µs", "unary", CPU},
		{"Latency added at 1 connection, p50, µs", "latency", AddedP50},
		{fmt.Sprintf("CPU per event at %d streams, µs", few.Streams), few.Name, CPU},
		{fmt.Sprintf("Memory per open stream at %d, KB", many.Streams), many.Name, Memory},
	} {
		drawn, err := r.draw(panel)
		if err != nil {
			return err
		}
		if drawn != nil {
			panels = append(panels, drawn)
		}
	}

	columns := min(len(panels), 2)
	rows := (len(panels) + 1) / 2
	canvas := vgsvg.New(vg.Length(max(columns, 1))*12*vg.Centimeter, vg.Length(max(rows, 1))*9*vg.Centimeter)
	tiles := draw.Tiles{Rows: max(rows, 1), Cols: max(columns, 1), PadX: vg.Centimeter, PadY: vg.Centimeter, PadTop: 4, PadBottom: 4, PadLeft: 4, PadRight: 12}
	whole := draw.New(canvas)
	whole.FillPolygon(color.White, []vg.Point{
		whole.Min, {X: whole.Max.X, Y: whole.Min.Y}, whole.Max, {X: whole.Min.X, Y: whole.Max.Y},
	})
	for i, panel := range panels {
		panel.Draw(tiles.At(whole, i%2, i/2))
	}
	out, err := os.Create(file) //nolint:gosec // chosen by the caller
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(out); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// draw draws a panel, with the first contender on top. It returns nil if there are no
// figures.
func (r *Result) draw(panel panel) (*plot.Plot, error) {
	var names []string
	var medians, others, ours plotter.Values
	for _, contender := range slices.Backward(r.Contenders) {
		spread, found := r.Spread(panel.measure, contender, panel.metric)
		if !found {
			continue
		}
		names = append(names, contender)
		medians = append(medians, spread.Median)
		if slices.Contains(r.Ours, contender) {
			others, ours = append(others, 0), append(ours, spread.Median)
		} else {
			others, ours = append(others, spread.Median), append(ours, 0)
		}
	}
	if len(names) == 0 {
		return nil, nil //nolint:nilnil // documented
	}

	p := plot.New()
	p.Title.Text = panel.title
	p.Title.Padding = vg.Points(6)
	p.NominalY(names...)
	p.HideX() // The labels have the numbers.
	p.X.Min = 0
	p.X.Max = slices.Max(medians) * 1.15 // space for the label of the longest bar
	for _, bars := range []struct {
		values plotter.Values
		color  color.Color
	}{{others, color.Gray{170}}, {ours, color.RGBA{16, 120, 110, 255}}} {
		chart, err := plotter.NewBarChart(bars.values, vg.Points(11))
		if err != nil {
			return nil, err
		}
		chart.Horizontal = true
		chart.Color = bars.color
		chart.LineStyle.Width = 0
		p.Add(chart)
	}
	labels, err := valueLabels(medians)
	if err != nil {
		return nil, err
	}
	p.Add(labels)
	return p, nil
}

// valueLabels returns the numbers next to the bars.
func valueLabels(values plotter.Values) (*plotter.Labels, error) {
	var at plotter.XYLabels
	for i, value := range values {
		at.XYs = append(at.XYs, plotter.XY{X: max(value, 0), Y: float64(i)})
		at.Labels = append(at.Labels, number(value))
	}
	labels, err := plotter.NewLabels(at)
	if err != nil {
		return nil, err
	}
	labels.Offset = vg.Point{X: vg.Points(4)}
	for i := range labels.TextStyle {
		labels.TextStyle[i].YAlign = text.YCenter
	}
	return labels, nil
}

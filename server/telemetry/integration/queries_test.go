package integration

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/goccy/go-yaml"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/telemetry/internal/observetest"
)

// everything is a scrape of a server that has done all kinds of things.
func everything(t *testing.T) []labels.Labels {
	t.Helper()
	f := observetest.Start(t, telemetry.Config{Version: "v1.2.3"}, observetest.Sandbox(t))
	for _, way := range ways {
		for _, fault := range []string{"", "Status=429", "Status=503", "Fault=close", "Fault=abort,After=1"} {
			way.ask(t, f, false, fault)
			way.ask(t, f, true, fault)
		}
	}
	if _, resp, err := websocket.Dial(t.Context(), "ws://"+f.Address()+"/v1/realtime", &websocket.DialOptions{HTTPClient: f.HTTP()}); err == nil {
		t.Fatal("the sandbox has WebSockets now: have one here")
	} else if resp != nil {
		resp.Body.Close()
	}
	f.RecordRateLimitDecision("ada", "", true)
	f.RecordRateLimitDecision("ada", ratelimit.RequestsPerMinute, false)
	f.RegisterClients(func() (time.Time, int64) { return time.Now(), 1 })
	f.RegisterRateLimitStore(func() (bool, int64) { return true, 3 })
	f.RegisterOverload(func() (int64, uint64) { return 1, 1 })
	f.Settle(t)
	recorder := httptest.NewRecorder()
	f.MetricsHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var series []labels.Labels
	scrape := textparse.NewPromParser(recorder.Body.Bytes(), labels.NewSymbolTable(), false)
	for {
		entry, err := scrape.Next()
		if err != nil {
			break
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var one labels.Labels
		scrape.Labels(&one)
		// What Prometheus adds.
		series = append(series, labels.NewBuilder(one).Set("instance", "a:9464").Set("job", "openai-connect").Labels())
	}
	if len(series) < 100 {
		t.Fatalf("only %d series:\n%s", len(series), recorder.Body)
	}
	return append(series, labels.FromStrings("__name__", "up", "instance", "a:9464", "job", "openai-connect"))
}

// TestQueries_HaveSeries: each selector of each query of the dashboard and of
// the alerts selects something, and what is grouped by is there.
func TestQueries_HaveSeries(t *testing.T) {
	series := everything(t)
	queries := append(dashboardQueries(t), alertQueries(t)...)
	if len(queries) < 40 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	for _, query := range queries {
		expression, err := parser.ParseExpr(query)
		if err != nil {
			t.Errorf("%s\n%v", query, err)
			continue
		}
		parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
			switch node := node.(type) {
			case *parser.VectorSelector:
				if len(selected(series, node)) == 0 {
					t.Errorf("%s\nselects nothing by %s", query, node)
				}
			case *parser.AggregateExpr:
				checkGrouping(t, series, query, node)
			}
			return nil
		})
	}
}

// selected returns the series that a selector selects.
func selected(series []labels.Labels, by *parser.VectorSelector) []labels.Labels {
	return slices.DeleteFunc(slices.Clone(series), func(one labels.Labels) bool {
		return slices.ContainsFunc(by.LabelMatchers, func(matcher *labels.Matcher) bool {
			return !one.Has(matcher.Name) || !matcher.Matches(one.Get(matcher.Name))
		})
	})
}

func checkGrouping(t *testing.T, series []labels.Labels, query string, group *parser.AggregateExpr) {
	t.Helper()
	parser.Inspect(group.Expr, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, label := range group.Grouping {
			if !slices.ContainsFunc(selected(series, selector), func(one labels.Labels) bool { return one.Has(label) }) {
				t.Errorf("%s\ngroups by %s, which %s doesn't have", query, label, selector)
			}
		}
		return nil
	})
}

// variables are what Grafana puts in the place of names.
var variables = strings.NewReplacer("$instance", ".*", "$client", ".*", "$model", ".*",
	"$price_input", "1.25", "$price_output", "10", "$__rate_interval", "1m", "$__range", "1h")

func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []string
	ids := make(map[int]string)
	for _, panel := range dashboard.Panels {
		if other, taken := ids[panel.ID]; taken {
			t.Errorf("%q and %q have one id", panel.Title, other)
		}
		ids[panel.ID] = panel.Title
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("%q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries = append(queries, variables.Replace(target.Expr))
		}
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Type != "query" {
			continue
		}
		metric, label, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(variable.Definition, "label_values("), ")"), ", ")
		if !ok {
			t.Errorf("%s is %q", variable.Name, variable.Definition)
		}
		queries = append(queries, "count by ("+label+") ("+metric+")")
	}
	return queries
}

func alertQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct{ Rules []struct{ Expr string } }
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			queries = append(queries, rule.Expr)
		}
	}
	return queries
}

package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// exclusiveFlags are pairs of flags of which only one may be given.
var exclusiveFlags = []struct{ a, b, advice string }{
	{"upstreams", "upstream", "list the upstream in the file"},
	{"upstreams", "upstream-retries", "set retries in the file"},
	{"upstream-key-file", "upstream-key", "choose one"},
	{"upstream-key-env", "upstream-key-file", "choose one"},
	{"api-key-file", "api-key", "choose one"},
	{"clients", "client-key-file", "choose one, or add the client to the file"},
	{"clients", "allow-anonymous", "choose one"},
	{"client-key-file", "allow-anonymous", "choose one"},
	{"domain", "tls-cert", "choose one, as --domain obtains a certificate"},
}

// requiredFlags are flags that have no effect unless one of others is given.
var requiredFlags = []struct {
	flag  string
	anyOf []string
	why   string
}{
	{"tls-cert", []string{"tls-key"}, ""},
	{"tls-key", []string{"tls-cert"}, ""},
	{"http-listen", []string{"domain"}, ""},
	{"acme-directory", []string{"domain"}, ""},
	{"acme-email", []string{"domain"}, ""},
	{"acme-ca", []string{"domain"}, ""},
	{"certificate-dir", []string{"domain"}, ""},
	{"redis", []string{"clients"}, "Redis counts the limits of clients"},
	{"redis-password-file", []string{"redis"}, ""},
	{"admin-pprof", []string{"admin"}, "profiles are served at that address"},
	{"proxy-protocol", []string{"trusted-proxies"}, "the addresses of the load balancers that speak it"},
	{"forward-organization", []string{"client-key-file", "clients", "allow-anonymous"}, "these headers are forwarded anyway unless the server replaces keys"},
	{"allowed-host", []string{"allow-anonymous", "admin"}, "host names are checked only for those"},
}

// givenFlags holds the flags of a command that were given, by name, with their
// source: a variable, FILE:LINE, or empty for the command line. A boolean flag that
// is false does not count.
type givenFlags map[string]string

func newGivenFlags(command *kong.Context, config *configFile) givenFlags {
	given := make(givenFlags)
	typed := make(map[*kong.Flag]bool)
	for _, path := range command.Path {
		if path.Flag != nil && !path.Resolved {
			typed[path.Flag] = true
		}
	}
	for _, flag := range command.Selected().Flags {
		setting, inFile := config.setting(flag.Name)
		variable, inEnvironment := variableOf(flag)
		switch {
		case flag.Target.Kind() == reflect.Bool && !flag.Target.Bool():
		case typed[flag]:
			given[flag.Name] = ""
		case inEnvironment:
			given[flag.Name] = variable
		case inFile:
			given[flag.Name] = setting.place()
		}
	}
	return given
}

// variableOf returns the environment variable of a flag, and whether it is set.
func variableOf(flag *kong.Flag) (name string, isSet bool) {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return name, true
		}
	}
	return "", false
}

func (g givenFlags) has(flag string) bool {
	_, ok := g[flag]
	return ok
}

// nameOf returns what a flag is called in messages. A secret is only a variable.
func nameOf(flag string) string {
	if flag == "upstream-key" || flag == "api-key" {
		return "OPENAI_CONNECT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	}
	return "--" + flag
}

var flagInText = regexp.MustCompile(`--[a-z][a-z0-9-]+`)

// explain adds to an error where the flags in it were set, if that is not the command
// line.
func (g givenFlags) explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	var sources []string
	for _, name := range slices.Compact(flagInText.FindAllString(text, -1)) {
		if source := g[strings.TrimPrefix(name, "--")]; source != "" && !strings.Contains(text, source) {
			sources = append(sources, name+" is set by "+source)
		}
	}
	if sources == nil {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(sources, ", "))
}

// checkFlags returns an error if the value of a flag is empty or out of range, if a
// secret is not in a variable, or if flags do not go together.
func checkFlags(flags []*kong.Flag, given givenFlags) error {
	for _, flag := range flags {
		if err := checkValue(flag, given); err != nil {
			return err
		}
	}
	for _, rule := range exclusiveFlags {
		if given.has(rule.a) && given.has(rule.b) {
			return fmt.Errorf("%s and %s: mutually exclusive: %s", nameOf(rule.a), nameOf(rule.b), rule.advice)
		}
	}
	for _, rule := range requiredFlags {
		// Other commands may have a flag of the same name.
		applies := slices.ContainsFunc(flags, func(f *kong.Flag) bool { return f.Name == rule.anyOf[0] })
		if !applies || !given.has(rule.flag) || slices.ContainsFunc(rule.anyOf, given.has) {
			continue
		}
		err := fmt.Errorf("%s: requires %s", nameOf(rule.flag), orList(rule.anyOf))
		if rule.why != "" {
			err = fmt.Errorf("%w: %s", err, rule.why)
		}
		return err
	}
	return nil
}

func checkValue(flag *kong.Flag, given givenFlags) error {
	isText := flag.Target.Kind() == reflect.String
	switch {
	case !given.has(flag.Name):
	case flag.Tag.Has("secret") && given[flag.Name] != flag.Envs[0]:
		return fmt.Errorf("--%s: keys must not be on a command line or in a configuration file: use --%[1]s-file or %s", flag.Name, flag.Envs[0])
	case isText && flag.Target.Len() == 0:
		return fmt.Errorf("--%s: is empty: give it a value, or leave it out", flag.Name)
	}
	return checkRange(flag)
}

// checkRange checks a number or a duration against the tags min, max and zero.
func checkRange(flag *kong.Flag) error {
	value := reflect.Indirect(flag.Target)
	least, bounded := bound(flag, "min")
	if !bounded || !value.IsValid() {
		return nil
	}
	most, hasMost := bound(flag, "max")
	zero := flag.Tag.Get("zero")
	if n := value.Int(); n >= least && (!hasMost || n <= most) || n == 0 && zero != "" {
		return nil
	}
	want := "at least " + flag.Tag.Get("min")
	if hasMost {
		want = "from " + flag.Tag.Get("min") + " to " + flag.Tag.Get("max")
	}
	if zero != "" {
		want += ", or 0 for " + zero
	}
	return fmt.Errorf("--%s: %v is out of range: must be %s", flag.Name, value, want)
}

// bound returns the value of a tag of a flag.
func bound(flag *kong.Flag, tag string) (int64, bool) {
	text := flag.Tag.Get(tag)
	if text == "" {
		return 0, false
	}
	if duration, err := time.ParseDuration(text); err == nil {
		return int64(duration), true
	}
	number, err := strconv.ParseInt(text, 10, 64)
	return number, err == nil
}

// orList joins the names of flags as in "--a, --b or --c".
func orList(flags []string) string {
	var names []string
	for _, flag := range flags {
		names = append(names, nameOf(flag))
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

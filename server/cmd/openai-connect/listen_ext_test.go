package main_test

import (
	"net"
	"net/http"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
)

// answers reports whether something answers a GET there.
func answers(url string) bool {
	client := &http.Client{Timeout: testTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err == nil {
		response.Body.Close()
	}
	return err == nil
}

func TestListen_UsesTheFamilyOfTheAddress(t *testing.T) {
	t.Parallel()
	if probe, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("there is no IPv6 here: %v", err)
	} else {
		probe.Close()
	}
	for _, row := range []struct {
		host   string
		v4, v6 bool
	}{
		{"0.0.0.0", true, false},
		{"[::ffff:0.0.0.0]", true, false},
		{"127.0.0.1", true, false},
		{"[::]", true, true},
		{"[::1]", false, true},
	} {
		t.Run(row.host, func(t *testing.T) {
			t.Parallel()
			_, port, err := net.SplitHostPort(commandtest.FreeAddress(t))
			if err != nil {
				t.Fatal(err)
			}
			_, admin, err := net.SplitHostPort(commandtest.FreeAddress(t))
			if err != nil {
				t.Fatal(err)
			}
			start(t, nil, "--upstream", "sandbox", "--listen", row.host+":"+port, "--admin", row.host+":"+admin)
			for host, want := range map[string]bool{"127.0.0.1": row.v4, "[::1]": row.v6} {
				if got := answers("http://" + host + ":" + port + "/v1/models"); got != want {
					t.Errorf("the API answers on %s: %t", host, got)
				}
				if got := answers("http://" + host + ":" + admin + "/healthz"); got != want {
					t.Errorf("the admin listener answers on %s: %t", host, got)
				}
			}
		})
	}
	t.Run("without a host", func(t *testing.T) {
		t.Parallel()
		p := start(t, nil, "--upstream", "sandbox", "--listen", ":0")
		_, port, err := net.SplitHostPort(p.address)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			if !answers("http://" + host + ":" + port + "/v1/models") {
				t.Errorf("no response on %s", host)
			}
		}
	})
}

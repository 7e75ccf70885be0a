package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestNoCommandShowsThePasswordOfTheDatabase(t *testing.T) {
	t.Setenv("CARFLUENCE_SECRET", strings.Repeat("s", 32))
	for _, url := range []string{"postgres://app:hunter2@127.0.0.1:1/cars", "postgres://127.0.0.1:1/cars?user=app&password=hunter2", "postgres://app:hunter2@db:x/cars", "postgres://app:hunter2%@db/cars"} {
		for _, command := range [][]string{{"config"}, {"migrate"}, {"key", "list"}, {"serve"}, {"backup", "x"}, {"feed", "list"}} {
			for _, flags := range [][]string{{"--database", url}, {"--database", "postgres://127.0.0.1:1/cars", "--stock-database", url}} {
				var out, errOut bytes.Buffer
				args := append(append([]string{}, command...), append(flags, "--data", t.TempDir())...)
				code := Run(t.Context(), args, strings.NewReader(""), &out, &errOut)
				if strings.Contains(out.String()+errOut.String(), "hunter2") || code == 0 && command[0] != "config" {
					t.Errorf("%q: %d %s%s", args, code, out.String(), errOut.String())
				}
			}
		}
	}
}

func TestADatabaseOnAServerNeedsASecret(t *testing.T) {
	var out, errOut bytes.Buffer
	code := Run(t.Context(), []string{"serve", "--database", "postgres://127.0.0.1:1/cars", "--data", t.TempDir()}, strings.NewReader(""), &out, &errOut)
	if code != 1 || !strings.Contains(errOut.String(), "CARFLUENCE_SECRET") {
		t.Errorf("%d %s", code, errOut.String())
	}
}

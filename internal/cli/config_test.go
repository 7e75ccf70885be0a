package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestConfigShowsNoPasswordOfTheDatabase(t *testing.T) {
	for _, url := range []string{"postgres://app:hunter2@db/cars", "postgres://db/cars?user=app&password=hunter2", "postgres://app:hunter2@db:x/cars"} {
		var out, errOut bytes.Buffer
		Run(t.Context(), []string{"config", "--database", url}, strings.NewReader(""), &out, &errOut)
		if strings.Contains(out.String()+errOut.String(), "hunter2") {
			t.Errorf("%s%s", out.String(), errOut.String())
		}
	}
}

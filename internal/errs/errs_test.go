package errs

import "testing"

func TestMemberEscapesNames(t *testing.T) {
	for name, want := range map[string]string{"price": "#/custom/price", "a/b~c": "#/custom/a~1b~0c", "é %": "#/custom/%C3%A9%20%25"} {
		if got := Member("#/custom", name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

package greeting

import "testing"

func TestABlankNameIsEverybody(t *testing.T) {
	for name, want := range map[string]string{"Ada": "Hello, Ada!", " ": "Hello, everybody!"} {
		if got := Greeting(name); got != want {
			t.Errorf("Greeting(%q) = %q, want %q", name, got, want)
		}
	}
}

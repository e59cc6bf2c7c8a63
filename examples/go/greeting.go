// Package greeting greets people.
package greeting

import "strings"

// Greeting is for name, or for everybody when it is blank.
func Greeting(name string) string {
	name = strings.TrimSpace(name)
	if name == "" {
		name = "everybody"
	}
	return "Hello, " + name + "!"
}

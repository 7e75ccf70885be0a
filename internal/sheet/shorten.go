package sheet

import "unicode/utf8"

const maxShown = 100 // characters of a value in a report

// Shorten cuts a value to what reports and messages show of it.
func Shorten(value string) string { return ShortenTo(value, maxShown) }

// ShortenTo cuts a text to so many characters and marks that it did.
func ShortenTo(text string, characters int) string {
	if len(text) <= characters || utf8.RuneCountInString(text) <= characters {
		return text
	}
	return string([]rune(text)[:characters]) + "…"
}

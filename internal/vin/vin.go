// Package vin owns the vehicle identification number: its normal form, its check digit, where it comes from
// and which model years it may mean (49 CFR 565.15, ISO 3779, ISO 3780). Pure; what is stored and shown about
// a vehicle lives in package inventory.
package vin

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Length of a VIN since model year 1981.
const Length = 17

// Status is the verdict on a number whose structure is right.
type Status string

// The verdicts.
const (
	Valid            Status = "valid"              // the check digit holds
	CheckDigitFailed Status = "check_digit_failed" // it does not, though it is mandatory where the vehicle was built
	NotApplicable    Status = "not_applicable"     // it does not, but position 9 is free where the vehicle was built
	Short            Status = "short"              // a serial of 5 to 16 characters from before 1981
)

// Why a text is no VIN. The messages are for the sender.
var (
	ErrLength   = errors.New("a VIN has 17 characters")
	ErrAlphabet = errors.New("a VIN consists of digits and the letters A to Z without I, O and Q")
	ErrUniform  = errors.New("one character repeated is no VIN")
	ErrSerial   = errors.New("a serial from before 1981 has 5 to 16 letters and digits")
)

// Normalise brings a text into the form VINs are stored and compared in: upper case, without blanks, dashes
// and zero-width characters. What else is wrong with it stays. A normal text is returned as it is.
func Normalise(raw string) string {
	for i := range len(raw) {
		if c := raw[i]; !isDigit(c) && !isUpper(c) {
			return normalise(raw)
		}
	}
	return raw
}

func normalise(raw string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == '‐' || r == '‑' || r == '–' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r):
			return -1
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, strings.ToValidUTF8(raw, string(utf8.RuneError)))
}

// Check judges a normalised VIN. The error is one of ErrLength, ErrAlphabet and ErrUniform; a wrong check
// digit is no error but a status.
func Check(vin string) (Status, error) {
	if err := structure(vin); err != nil {
		return "", err
	}
	switch {
	case CheckDigit(vin) == vin[8]:
		return Valid, nil
	case Regulated(vin):
		return CheckDigitFailed, nil
	}
	return NotApplicable, nil
}

// Shaped tells whether a text as found is a VIN by its structure, whatever its check digit.
func Shaped(raw string) bool {
	_, err := Check(Normalise(raw))
	return err == nil
}

// Proven tells whether a text as found is a VIN whose check digit holds.
func Proven(raw string) bool {
	status, err := Check(Normalise(raw))
	return err == nil && status == Valid
}

func structure(vin string) error {
	if utf8.RuneCountInString(vin) != Length {
		return ErrLength
	}
	uniform := true
	for i := range len(vin) {
		if value(vin[i]) < 0 {
			return ErrAlphabet
		}
		uniform = uniform && vin[i] == vin[0]
	}
	if uniform { // 17 times 1 would pass the check digit
		return ErrUniform
	}
	return nil
}

// Explain says what is wrong with the structure of a normalised VIN more closely than Check's errors, which are
// fixed texts: how long it is, or which character stands where (positions from 1). Empty when nothing is wrong.
func Explain(vin string) string {
	switch structure(vin) {
	case ErrLength:
		return fmt.Sprintf("has %d characters, not %d", utf8.RuneCountInString(vin), Length)
	case ErrAlphabet:
		position := 0
		for _, r := range vin {
			position++
			if r >= utf8.RuneSelf || value(byte(r)) < 0 {
				return fmt.Sprintf("position %d is %q, which no VIN contains", position, r)
			}
		}
	case ErrUniform:
		return fmt.Sprintf("consists of %q only", vin[0])
	}
	return ""
}

// CheckSerial judges a normalised serial from before 1981, for sources that are known to hold such vehicles.
func CheckSerial(serial string) (Status, error) {
	if len(serial) < 5 || len(serial) >= Length {
		return "", ErrSerial
	}
	for i := range len(serial) {
		if !isDigit(serial[i]) && !isUpper(serial[i]) {
			return "", ErrSerial
		}
	}
	return Short, nil
}

// CheckDigit computes what position 9 of a VIN of the right structure ought to be (49 CFR 565.15(c)).
func CheckDigit(vin string) byte {
	sum := 0
	for i := range Length {
		sum += weights[i] * value(vin[i])
	}
	if sum%11 == 10 {
		return 'X'
	}
	return byte('0' + sum%11)
}

var weights = [Length]int{8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2}

// letterValues of A to Z; the letters a VIN does not have are -1.
var letterValues = [26]int8{1, 2, 3, 4, 5, 6, 7, 8, -1, 1, 2, 3, 4, 5, -1, 7, -1, 9, 2, 3, 4, 5, 6, 7, 8, 9}

func value(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case isUpper(c):
		return int(letterValues[c-'A'])
	}
	return -1
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

// WMI is the code of the manufacturer: positions 1 to 3, and 12 to 14 for a maker of few vehicles, whose
// third character is 9. The VIN's structure is right.
func WMI(vin string) string {
	if vin[2] == '9' {
		return vin[:3] + vin[11:14]
	}
	return vin[:3]
}

package auth

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

func (o *office) guess(email, password, address string) answer {
	return o.do("POST", "/api/v1/auth/login", credentials(email, password), "From: "+address+":99")
}

func TestGuessingOneAccountFromOneSource(t *testing.T) {
	for _, email := range []string{"jane@cars.example", "nobody@cars.example"} {
		t.Run(email, func(t *testing.T) {
			o := newOffice(t)
			hashed := o.hashes.Load()
			for i := range 10 {
				o.guess(email, "wrong", "198.51.100.1").want(t, strconv.Itoa(i), 401, "credentials_invalid")
			}
			o.advance(5 * time.Minute)
			a := o.guess(email, goodPassword, "198.51.100.1")
			a.want(t, "the eleventh", 429, "login_throttled")
			if got := a.Header.Get("Retry-After"); got != "600" || a.Header.Get("Cache-Control") != "no-store" {
				t.Error(a.Header)
			}
			if n := o.hashes.Load() - hashed; n != 10 {
				t.Errorf("%d guesses evaluated", n)
			}
			o.open() // restart
			o.guess(email, goodPassword, "198.51.100.1").want(t, "after a restart", 429, "login_throttled")
			o.advance(10*time.Minute - time.Second)
			o.guess(email, goodPassword, "198.51.100.1").want(t, "a second early", 429, "login_throttled")
			o.advance(time.Second)
			o.guess(email, "wrong", "198.51.100.1").want(t, "in the next window", 401, "credentials_invalid")
		})
	}
}

// A clock that was ahead, and was set right, must not lock people out until then.
func TestAClockSetBackLocksNobodyOutForLong(t *testing.T) {
	o := newOffice(t)
	o.advance(24 * time.Hour)
	for range 10 {
		o.guess("jane@cars.example", "wrong", "198.51.100.1")
	}
	o.advance(-24 * time.Hour)
	a := o.guess("jane@cars.example", goodPassword, "198.51.100.1")
	a.want(t, "after ten failures", 429, "login_throttled")
	if got := a.Header.Get("Retry-After"); got != "900" {
		t.Errorf("retry after %s s, want a window's 900", got)
	}
	o.advance(16 * time.Minute)
	o.guess("jane@cars.example", goodPassword, "198.51.100.1").want(t, "a window later", 200, "")
}

func TestThrottledAnswersLookAlike(t *testing.T) {
	o := newOffice(t)
	var answers []string
	for i, email := range []string{"jane@cars.example", "nobody@cars.example"} {
		address := fmt.Sprintf("198.51.100.%d", i)
		for range 10 {
			o.guess(email, "wrong", address)
		}
		answers = append(answers, sameRefusal(o.guess(email, "wrong", address)))
	}
	if answers[0] != answers[1] {
		t.Errorf("can be told apart:\n%s\n%s", answers[0], answers[1])
	}
}

func TestNobodyElsewhereLocksAnAccount(t *testing.T) {
	o := newOffice(t)
	o.login("jane@cars.example", goodPassword, "From: 203.0.113.1:5")
	hashed := o.hashes.Load()
	refused := 0
	for i := range 1000 { // a botnet
		a := o.guess("jane@cars.example", "wrong", fmt.Sprintf("198.51.%d.%d", i/250, i%250))
		if a.StatusCode == 429 {
			refused++
		}
	}
	if n := o.hashes.Load() - hashed; n != 50 || refused != 950 {
		t.Errorf("%d of 1,000 guesses evaluated, %d refused", n, refused)
	}
	o.guess("jane@cars.example", goodPassword, "203.0.113.77").want(t, "a new place meanwhile", 429, "login_throttled")
	o.login("jane@cars.example", goodPassword, "From: 203.0.113.1:6")
	for i := range 10 {
		o.guess("jane@cars.example", "typo", "203.0.113.1").want(t, strconv.Itoa(i), 401, "credentials_invalid")
	}
	o.guess("jane@cars.example", goodPassword, "203.0.113.1").want(t, "ten mistakes of her own", 429, "login_throttled")
	o.advance(15 * time.Minute)
	o.login("jane@cars.example", goodPassword, "From: 203.0.113.1:6")
	o.advance(45 * time.Minute)
	o.login("jane@cars.example", goodPassword, "From: 203.0.113.77:6")
	o.advance(31 * 24 * time.Hour)
	for i := range 50 {
		o.guess("jane@cars.example", "wrong", fmt.Sprintf("198.51.100.%d", i))
	}
	o.guess("jane@cars.example", goodPassword, "203.0.113.1").want(t, "a place not seen for a month", 429, "login_throttled")
}

func TestSprayingManyAccountsFromOneSource(t *testing.T) {
	o := newOffice(t)
	o.login("jane@cars.example", goodPassword, "From: [2001:db8::1]:5")
	for i := range 100 {
		o.guess(fmt.Sprintf("person%d@cars.example", i), "Summer2025", fmt.Sprintf("[2001:db8::%x]", i)).want(t, strconv.Itoa(i), 401, "credentials_invalid")
	}
	o.guess("person100@cars.example", "Summer2025", "[2001:db8::ffff:1]").want(t, "same /64", 429, "login_throttled")
	o.guess("person100@cars.example", "Summer2025", "[2001:db8:0:1::1]").want(t, "next /64", 401, "credentials_invalid")
	o.login("jane@cars.example", goodPassword, "From: [2001:db8::2]:6") // colleagues at the same source go on
}

func TestParallelGuessesDontOvertakeTheCount(t *testing.T) {
	o := newOffice(t)
	hashed := o.hashes.Load()
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() { o.guess("jane@cars.example", "wrong", "198.51.100.1") })
	}
	wg.Wait()
	if n := o.hashes.Load() - hashed; n != 10 {
		t.Errorf("%d guesses evaluated", n)
	}
}

func TestManyRightPasswordsAtOnce(t *testing.T) {
	o := newOffice(t)
	var wg sync.WaitGroup
	for i := range 120 { // more than any budget
		wg.Go(func() {
			o.guess("jane@cars.example", goodPassword, "198.51.100.1").want(t, strconv.Itoa(i), 200, "")
		})
	}
	wg.Wait()
	for i := range 10 {
		o.guess("jane@cars.example", "wrong", "198.51.100.1").want(t, strconv.Itoa(i), 401, "credentials_invalid")
	}
	o.guess("jane@cars.example", "wrong", "198.51.100.1").want(t, "the eleventh", 429, "login_throttled")
	if len(o.sessions.throttle.inFlight) > 0 {
		t.Error("attempts left behind")
	}
}

func TestBusyServerDoesNotCountAgainstPeople(t *testing.T) {
	o := newOffice(t)
	*o.passwords = *NewPasswords(1, 0)
	release, running := make(chan struct{}), make(chan struct{})
	o.passwords.compute = func([]byte, []byte, uint32, uint32, uint8, uint32) []byte {
		running <- struct{}{}
		<-release
		return make([]byte, argonTag)
	}
	go func() { _ = o.passwords.VerifyNobody(t.Context(), "x") }()
	<-running
	for range 30 {
		a := o.guess("jane@cars.example", goodPassword, "198.51.100.1")
		a.want(t, "busy", 503, "unavailable")
		if a.Header.Get("Retry-After") != "1" {
			t.Error(a.Header)
		}
	}
	close(release)
	var failures int
	if err := o.db.QueryRow(t.Context(), `SELECT coalesce(sum(failures), 0) FROM login_throttle`).Scan(&failures); err != nil || failures != 0 {
		t.Errorf("%d failures counted, %v", failures, err)
	}
}

func TestThrottlePrune(t *testing.T) {
	o := newOffice(t)
	o.guess("jane@cars.example", "wrong", "198.51.100.1")
	o.advance(time.Hour + time.Second)
	o.guess("jane@cars.example", "wrong", "198.51.100.2")
	if err := o.sessions.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := o.db.QueryRow(t.Context(), `SELECT count(*) FROM login_throttle`).Scan(&rows); err != nil || rows != 3 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

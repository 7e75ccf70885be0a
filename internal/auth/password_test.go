package auth

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"carfluence/internal/errs"
)

func TestPasswordRules(t *testing.T) {
	b := NewBlocklist()
	who := Personal{Email: "jane.doe@ancira.example", Name: "Jane Doe", Group: "Ancira Motor Group"}
	cases := []struct {
		password, reason string // reason is part of the answer, "" when the password is fine
	}{
		{"only14letters!", "at least 15 characters, has 14"},
		{"", "at least 15 characters, has 0"},
		{strings.Repeat("ab-c?d ", 37), "at most 256 characters, has 259"},
		{"\uFDFA", "at least 15 characters, has 1"}, // one code point that NFKC makes eighteen
		{"ﬃﬃﬃﬃﬃ kqz", "at least 15"},                // five ligatures
		{"tab\tin the middle of it", "control"},
		{"not text \xff at all, is it", "control"},
		{"aaaaaaaaaaaaaaaaaaaa", "repeats the same 1"},
		{"Zq8!Zq8!Zq8!Zq8!Zq", "repeats the same 4"},
		{"zebra?!9zebra?!9", "repeats the same 8"},
		{"correct horse battery staple", "attackers try first"},
		{"Correct-Horse-Battery-Staple", "attackers try first"},
		{"C0rrect H0rse B4ttery $t4ple!", "attackers try first"},
		{"MayTheForceBeWithYou", "attackers try first"},
		{"qwertyuiopasdfghjkl", "attackers try first"},
		{"123456789012345", "attackers try first"},
		{"passwordpassword1", "very common"},
		{"P@ssw0rd12345678", "very common"},
		{"Iloveyou!Princess!2024", "very common"},
		{"football.football.baseball", "very common"},
		{"poiuytrewq0987654321", "attackers try first"},
		{"password asdfghjkl 1999!", "very common"},
		{"jane.doe@ancira.example", "your own name"},
		{"JANE.DOE@ANCIRA.EXAMPLE", "your own name"},
		{"JaneDoe JaneDoe 2025", "your own name"},
		{"carfluence12345", "your own name"},
		{"Carfluence-Ancira-1", "your own name"},
		{"C4rflu3nceC4rflu3nceX", "your own name"},
		{"Ancira Motor Group 99", "your own name"},
		{"a red lorry and four yellow ones", ""},
		{"jane likes purple tractors", ""},
		{"ye olde carfluence tavern", ""},
		{"xkqzvwpmtrbhnfd", ""},
		{"пароль из пятнадцати букв", ""},
		{"長い合言葉は十五文字以上必要です", ""},
		{"    three   spaces count too", ""},
		{strings.Repeat("qv7 hh", 1) + strings.Repeat("é", 9), ""},
		{strings.Repeat("x9 fj2 ", 36)[:250] + "other!", ""},
	}
	for _, c := range cases {
		faults := b.Check("#/password", c.password, who)
		switch {
		case c.reason == "" && faults != nil:
			t.Errorf("%q refused: %v", c.password, faults)
		case c.reason != "" && (len(faults) != 1 || !strings.Contains(faults[0].Detail, c.reason) || faults[0].Pointer != "#/password"):
			t.Errorf("%q: got %v, want %q", c.password, faults, c.reason)
		}
	}
}

func TestPasswordRulesOnLongHostileText(t *testing.T) {
	b := NewBlocklist()
	for _, s := range []string{
		strings.Repeat("passwordpass", 20) + "~~~~~zzqy", strings.Repeat("abcdefgh123", 22) + "q",
		strings.Repeat("dragonmonkey", 20) + "shadowprince",
	} {
		b.Check("#/password", s, Personal{Email: "a@b.c"}) // must return at once
	}
}

func TestBlocklistEntriesAreInTheFormTheyAreCompared(t *testing.T) {
	b := NewBlocklist()
	if len(b.entries) < 3000 {
		t.Fatalf("only %d entries", len(b.entries))
	}
	for e := range b.entries {
		if got := squash([]rune(strings.ToLower(nfkc(e)))); got != e {
			t.Errorf("entry %q can never match: compared as %q", e, got)
		}
	}
}

func TestPasswordHash(t *testing.T) {
	ctx, p := context.Background(), NewPasswords(1, 1)
	stored, err := p.Hash(ctx, "ﬁve dozen liquor jugs Å")
	if err != nil || !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(stored, err)
	}
	if again, _ := p.Hash(ctx, "ﬁve dozen liquor jugs Å"); again == stored {
		t.Error("the same salt twice")
	}
	for password, want := range map[string]bool{
		"ﬁve dozen liquor jugs Å":        true,
		"five dozen liquor jugs A\u030A": true, // the same text, typed elsewhere
		"Five dozen liquor jugs Å":       false,
		"five dozen liquor jugs Å ":      false,
		"":                               false,
	} {
		if ok, stale, err := p.Verify(ctx, stored, password); ok != want || stale || err != nil {
			t.Errorf("%q: ok=%v stale=%v err=%v", password, ok, stale, err)
		}
	}
	if err := p.VerifyNobody(ctx, "x"); err != nil {
		t.Error(err)
	}
}

// From the reference implementation: argon2 "password", salt "somesalt".
func TestPasswordHashOfOtherParametersVerifiesAndIsStale(t *testing.T) {
	p := NewPasswords(1, 1)
	const stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	if ok, stale, err := p.Verify(context.Background(), stored, "password"); !ok || !stale || err != nil {
		t.Errorf("ok=%v stale=%v err=%v", ok, stale, err)
	}
	if ok, stale, _ := p.Verify(context.Background(), stored, "Password"); ok || stale {
		t.Errorf("wrong password: ok=%v stale=%v", ok, stale)
	}
}

func TestDamagedPasswordHashes(t *testing.T) {
	p := NewPasswords(1, 1)
	good := "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for _, s := range []string{
		"", "x", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=256", "m=4294967295", 1), strings.Replace(good, "t=2", "t=0", 1),
		strings.Replace(good, "t=2", "t=4000000", 1), strings.Replace(good, ",p=1", "", 1),
		strings.Replace(good, "m=256,t=2", "t=2,m=256", 1), good + "$x", good[:50], strings.Replace(good, "nf65", "n!65", 1),
	} {
		if ok, _, err := p.Verify(context.Background(), s, "password"); ok || err == nil {
			t.Errorf("%q: ok=%v err=%v", s, ok, err)
		}
	}
}

func TestPasswordHashesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPasswords(2, 3)
		release, running, most := make(chan struct{}), make(chan struct{}, 10), 0
		var mu sync.Mutex
		p.compute = func([]byte, []byte, uint32, uint32, uint8, uint32) []byte {
			running <- struct{}{}
			mu.Lock()
			most = max(most, len(running))
			mu.Unlock()
			<-release
			<-running
			return make([]byte, argonTag)
		}
		done := make(chan error, 10)
		ctx, cancel := context.WithCancel(context.Background())
		for range 5 {
			go func() { _, err := p.Hash(ctx, "x"); done <- err }()
		}
		synctest.Wait()
		_, err := p.Hash(ctx, "x")
		if errs.KindOf(err) != errs.KindUnavailable {
			t.Errorf("a sixth: %v", err)
		}
		cancel() // the three that wait give up, the two that run go on
		for range 3 {
			if err := <-done; err != context.Canceled {
				t.Errorf("waiting: %v", err)
			}
		}
		close(release)
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("running: %v", err)
			}
		}
		if most != 2 {
			t.Errorf("%d at once", most)
		}
		if _, err := p.Hash(context.Background(), "x"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func BenchmarkPasswordHash(b *testing.B) {
	p := NewPasswords(1, 1)
	for b.Loop() {
		p.Hash(context.Background(), "a red lorry and four yellow ones")
	}
}

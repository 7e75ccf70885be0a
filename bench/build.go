package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build is a server made from a commit.
type build struct {
	name, commit string
	source       string // folder
	binary       string
	schema       string // names what its databases look like
}

// buildAll makes this server, and the other commit's.
func (b *bench) buildAll() (err error) {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	name := "this"
	if *against == "" {
		name = "ours"
	}
	if b.this, err = b.build(name, here); err != nil || *against == "" {
		return err
	}
	there := filepath.Join(b.dir, "other-source")
	if out, err := exec.CommandContext(b.ctx, "git", "worktree", "add", "--detach", there, *against).CombinedOutput(); err != nil {
		return fmt.Errorf("-against %s: %w\n%s", *against, err, out)
	}
	if b.that, err = b.build("the other", there); err != nil {
		b.forgetCommit()
	}
	return err
}

// forgetCommit removes the other commit's files from git's books.
func (b *bench) forgetCommit() {
	if *against != "" {
		_ = exec.Command("git", "worktree", "remove", "--force", filepath.Join(b.dir, "other-source")).Run()
	}
}

func (b *bench) build(name, source string) (*build, error) {
	on := &build{name: name, source: source, binary: filepath.Join(b.dir, "carfluence-"+strings.ReplaceAll(name, " ", "-"))}
	cmd := exec.CommandContext(b.ctx, "go", "build", "-o", on.binary, "./cmd/carfluence")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	git := func(args ...string) string {
		cmd := exec.CommandContext(b.ctx, "git", args...)
		cmd.Dir = source
		out, _ := cmd.Output()
		return strings.TrimSpace(string(out))
	}
	on.commit = git("rev-parse", "--short", "HEAD")
	if git("status", "--porcelain", "--", "cmd", "internal", "go.mod") != "" {
		on.commit += " with changes"
	}
	var err error
	on.schema, err = schemaOf(source)
	return on, err
}

// schemaOf is a digest of the migrations and of the vehicles that are generated.
func schemaOf(source string) (string, error) {
	sum := sha256.New()
	_ = writeFeed(sum, 0, 1000, 1)
	err := filepath.WalkDir(filepath.Join(source, "internal/sqldb/migrations"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s\n%s\n", d.Name(), text)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:5]), err
}

// builds are those under comparison, this one last.
func (b *bench) builds() []*build {
	if b.that != nil {
		return []*build{b.that, b.this}
	}
	return []*build{b.this}
}

// The engines.
const (
	onSQLite   = "SQLite"
	onPostgres = "PostgreSQL"
)

// engines are those there are.
func (b *bench) engines() []string {
	if b.pg != nil {
		return []string{onSQLite, onPostgres}
	}
	return []string{onSQLite}
}

// place is an installation: a server's program with its data.
type place struct {
	b        *bench
	on       *build
	engine   string
	data     string // folder
	database string // PostgreSQL's URL, "" for SQLite
	vehicles int
	bulk     int      // keys made by addKeys
	keys     []string // each is good for a million requests an hour
}

const (
	benchSecret   = "only for the bench, the same for all servers"
	adminEmail    = "bench@example.com"
	adminPassword = "only for the bench 4711"
)

// command is one of the program's.
func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.b.ctx, p.on.binary, args...)
	cmd.Env = append(os.Environ(), "CARFLUENCE_DATA="+p.data, "CARFLUENCE_LISTEN=127.0.0.1:0", "CARFLUENCE_METRICS_LISTEN=127.0.0.1:0", "CARFLUENCE_SFTP_LISTEN=127.0.0.1:0",
		"CARFLUENCE_ADMIN_EMAIL="+adminEmail, "CARFLUENCE_ADMIN_PASSWORD="+adminPassword, "CARFLUENCE_SESSION_RATE_PER_HOUR=10000000",
		"CARFLUENCE_DATABASE="+p.database, "CARFLUENCE_SECRET="+benchSecret)
	return cmd
}

// start serves on the servers' core.
func (p *place) start(env ...string) (*process, error) {
	cmd := p.command("serve")
	cmd.Env = append(cmd.Env, env...)
	log, err := os.OpenFile(filepath.Join(p.b.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	return startProcess(pinned(cmd))
}

// found makes the dealer group, by starting once.
func (p *place) found() error {
	s, err := p.start()
	if err != nil {
		return err
	}
	return s.stop()
}

// makeKeys creates keys on the command line.
func (p *place) makeKeys(n int, scopes string) error {
	for i := range n {
		out, err := p.command("key", "create", fmt.Sprintf("bench %d", i), "--scopes", scopes, "--rate-limit-per-hour", "1000000").Output()
		if err != nil {
			return fmt.Errorf("key: %w\n%s", err, exitText(err))
		}
		p.keys = append(p.keys, strings.TrimSpace(string(out)))
	}
	return nil
}

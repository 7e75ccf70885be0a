package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"carfluence/internal/audit"
	"carfluence/internal/feed"
	"carfluence/internal/job"
	"carfluence/internal/sftpd"
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
)

// Folders inside the data folder.
const (
	spoolFolder  = "spool"  // temporary files of runs
	uploadFolder = "upload" // SFTP uploads under way
)

const (
	// busyAgain is when the files of an integration are looked at again that are being processed already.
	busyAgain = time.Second
	// sweepFeeds is how often files that nobody works on are looked for, and old logs forgotten.
	sweepFeeds = 5 * time.Minute
	// arrivedVisible is how long a received file is shown to its sender.
	arrivedVisible = time.Hour
)

// processFiles is the job of working an integration's files that wait.
type processFiles struct {
	Group       string `json:"group"`
	Integration string `json:"integration"`
}

// Kind implements job.Args.
func (processFiles) Kind() string { return "feed.process" }

// sweep is the job of finding what was left behind.
type sweep struct{}

// Kind implements job.Args.
func (sweep) Kind() string { return "feed.sweep" }

// NewFeeds builds the feeds on open stores, with the queue that works their files. Commands use it beside a server too.
func (s *Stores) NewFeeds(f *feed.Feeds, c Feeds) (*job.Queue, error) {
	f.DB, f.Secret, f.Spool, f.Limits = s.Stock, s.Secret, filepath.Join(s.dir, spoolFolder), c.limits()
	q, err := job.New(s.Stock, f.Log, job.Options{Workers: c.FeedWorkers})
	if err != nil {
		return nil, err
	}
	f.Enqueue = func(ctx context.Context, tx *sqldb.Tenant, integrationID string) error {
		return q.Enqueue(ctx, tx.DB(), processFiles{tx.Group(), integrationID})
	}
	shared := &processors{}
	job.Handle(q, job.Worker[processFiles]{Work: func(ctx context.Context, a processFiles) error {
		defer shared.share()()
		err := f.Work(ctx, s.Stock.Patient().Tenant(a.Group), a.Integration)
		if errors.Is(err, feed.ErrBusy) {
			return job.Snooze(busyAgain)
		}
		return err
	}})
	s.handleRefreshes(q, f.Stock, shared, f.Log)
	return q, nil
}

// limits are the settings as feeds take them.
func (c Feeds) limits() feed.Limits {
	l := feed.DefaultLimits
	l.FileBytes, l.Unpack = c.FeedMaxFileMB<<20, sheet.Caps{Bytes: c.FeedMaxUnpackedMB << 20}
	l.Guard = feed.Guard{Share: c.FeedGuardPercent, Least: c.FeedGuardLeast}
	l.Uploads, l.Queued = c.FeedUploads, c.FeedQueued
	l.Problems, l.KeptFiles, l.LogAge = c.FeedMaxProblems, c.FeedKeptFiles, time.Duration(c.FeedLogDays)*24*time.Hour
	return l
}

// wireFeeds builds what files pass through.
func (s *Server) wireFeeds(ctx context.Context) (err error) {
	s.Feeds = &feed.Feeds{Stock: s.Stock, Dealers: s.Dealers, SFTP: s.config.sftpAddress(), Now: time.Now, Log: s.log}
	if s.jobs, err = s.stores.NewFeeds(s.Feeds, s.config.Feeds); err != nil {
		return err
	}
	s.Feeds.Ended = s.observer.fileEnded
	s.observer.registry.MustRegister(newStoreReadings(s.stores, s.jobs))
	s.Dealers.Fed = s.Feeds.OfDealership
	if err := os.RemoveAll(s.Feeds.Spool); err != nil { // what a killed process left; nobody else works in the folder
		return fmt.Errorf("spool: %w", err)
	}
	job.Handle(s.jobs, job.Worker[sweep]{Work: func(ctx context.Context, _ sweep) error { return s.sweepFeeds(ctx) }})
	s.jobs.Every(sweepFeeds, sweep{})
	job.Handle(s.jobs, job.Worker[newDay]{Work: func(ctx context.Context, _ newDay) error { return s.newDay(ctx) }})
	s.jobs.Every(lookAtCalendar, newDay{})
	if !s.config.servesSFTP() {
		return nil
	}
	pem, err := s.Feeds.HostKey(ctx, sftpd.GenerateHostKey)
	if err != nil {
		return err
	}
	key, err := sftpd.ParseHostKey(pem)
	if err != nil {
		return err
	}
	s.Feeds.SFTP.Fingerprint = sftpd.Fingerprint(key.PublicKey())
	s.sftp, err = sftpd.New(s.sftpConfig(key))
	return err
}

// sweepFeeds hands files that nobody works on to the workers again, after a crash or when a job has given up.
func (s *Server) sweepFeeds(ctx context.Context) error {
	groups, err := s.Groups.List(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups {
		t := s.stores.Stock.Patient().Tenant(g.ID)
		waiting, err := s.Feeds.Unfinished(ctx, t)
		if err != nil {
			return err
		}
		for _, id := range waiting {
			if err := s.Feeds.Enqueue(ctx, t, id); err != nil {
				return err
			}
		}
		if err := s.Feeds.Prune(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) sftpConfig(key ssh.Signer) sftpd.Config {
	f := s.Feeds
	return sftpd.Config{
		HostKey: key, Spool: filepath.Join(s.stores.dir, uploadFolder), Now: time.Now, Log: s.log,
		Limits: sftpd.Limits{
			FileBytes: f.Limits.FileBytes, SpoolBytes: 4 * f.Limits.FileBytes, Connections: s.config.SFTPConnections, Idle: s.config.SFTPIdle,
		},
		Authenticate: func(ctx context.Context, username, password string, address netip.Addr) (sftpd.Login, error) {
			l, err := f.Login(audit.WithAddress(ctx, address.String()), username, password)
			return sftpd.Login(l), err
		},
		AuthenticateKey: func(ctx context.Context, username string, key ssh.PublicKey, _ netip.Addr) (sftpd.Login, error) {
			l, err := f.LoginKey(ctx, username, key)
			return sftpd.Login(l), err
		},
		Failed: func(ctx context.Context, username string, address netip.Addr) {
			f.LoginFailed(audit.WithAddress(ctx, address.String()), username, "key")
		},
		Valid: func(ctx context.Context, l sftpd.Login) (bool, error) { return f.StillValid(ctx, feed.Login(l)) },
		Receive: func(ctx context.Context, l sftpd.Login, u sftpd.Upload) error {
			by := audit.Actor{Type: "integration", ID: l.Integration, Name: l.Username}
			_, err := f.Receive(ctx, s.stores.Stock.Tenant(l.Group), l.Integration, feed.Upload{Name: u.Name, Path: u.Path, ModTime: u.ModTime, By: by, File: u.File})
			return err
		},
		Arrived: func(ctx context.Context, l sftpd.Login) ([]sftpd.Arrived, error) {
			list, err := f.Arrived(ctx, s.stores.Stock.Tenant(l.Group), l.Integration, time.Now().Add(-arrivedVisible))
			out := make([]sftpd.Arrived, 0, len(list))
			for _, r := range list {
				out = append(out, sftpd.Arrived{Path: r.Path, Size: r.Size, At: r.ReceivedAt})
			}
			return out, err
		},
	}
}

// listenSFTP opens the SFTP server's port; nil when it is off.
func (s *Server) listenSFTP(ctx context.Context) (net.Listener, error) {
	if s.sftp == nil {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.config.SFTPListen)
	if err != nil {
		return nil, fmt.Errorf("--sftp-listen: %w (another port, or 'off'?)", err)
	}
	if addr, ok := l.Addr().(*net.TCPAddr); ok && s.config.SFTPPublic == "" {
		s.Feeds.SFTP.Port = addr.Port
	}
	return l, nil
}

package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"carfluence/internal/auth"
	"carfluence/internal/dealer"
	"carfluence/internal/feed"
	"carfluence/internal/inventory"
	"carfluence/internal/job"
	"carfluence/internal/lease"
	"carfluence/internal/quota"
	"carfluence/internal/rest"
	"carfluence/internal/rest/docsite"
	"carfluence/internal/rule"
	"carfluence/internal/sftpd"
	"carfluence/internal/sqldb"
)

// Time limits of connections.
const (
	headerTimeout = 10 * time.Second       // a request's header must have arrived
	idleTimeout   = 2 * time.Minute        // a kept-alive connection waits for the next request
	writeTimeout  = 2 * time.Minute        // an answer must have been taken
	shutdownLimit = 30 * time.Second       // requests under way may finish
	lastRequests  = 250 * time.Millisecond // connections that are open when the port closes send their last request
	leaveLimit    = 2 * time.Second        // telling other replicas
	pruneEvery    = time.Hour
	// changesKept is how long the change log is kept; no lease is longer than seconds.
	changesKept = time.Hour
	// usageKept is how long windows of the quota, which are the usage statistics, are kept: a year and a month.
	usageKept = 400 * 24 * time.Hour
	// maxTokens bounds the verified session tokens remembered.
	maxTokens = 100_000
	// waitingHashes is how many logins may wait for a password hash, per hash that can run.
	waitingHashes = 32
)

// Server is the whole program, put together on open stores.
type Server struct {
	config Config
	stores *Stores
	log    *slog.Logger
	lock   *Lock

	API         *rest.API
	Groups      *auth.Groups
	People      *auth.People
	Keys        *auth.Keys
	Dealers     *dealer.Dealers
	Stock       *inventory.Stock
	Rules       *rule.Rules
	Feeds       *feed.Feeds
	jobs        *job.Queue
	sftp        *sftpd.Server // nil when off
	replica     *lease.Replica
	authority   *auth.Authority
	ledger      *quota.Ledger
	signingKeys *auth.SigningKeys
	sessions    *auth.Sessions
	observer    *observer

	draining    atomic.Bool
	connections atomic.Int64 // open ones of the API
}

// NewServer wires all parts. It takes the data folder's lock: one server per folder, on PostgreSQL too.
func NewServer(ctx context.Context, c Config, stores *Stores, version string, log *slog.Logger) (*Server, error) {
	return newServerAt(ctx, c, stores, version, log, time.Now)
}

// newServerAt is NewServer with this machine's clock, which other replicas' may differ from.
func newServerAt(ctx context.Context, c Config, stores *Stores, version string, log *slog.Logger, now func() time.Time) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	lock, err := stores.Lock()
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, stores: stores, log: log, lock: lock, observer: newObserver(log)}
	if err := s.wire(ctx, version, now); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if left, err := stores.Contracts(ctx); err == nil && left {
		log.Info("the schema can still be used by the version before; when all its servers are gone for good, run carfluence migrate")
	}
	return s, nil
}

func (s *Server) wire(ctx context.Context, version string, now func() time.Time) (err error) {
	c, db := s.config, s.stores.Accounts
	s.replica = lease.New(lease.NewStore(db), lease.Options{Shared: s.stores.Shared(), Now: now, Log: s.log, Notify: s.notify})
	if s.ledger, err = quota.New(db, quota.Options{Window: c.QuotaWindow, Now: s.replica.StoreNow, Log: s.log, Sole: !s.stores.Shared(), Replica: s.replica}); err != nil {
		return err
	}
	s.authority = auth.NewSharedAuthority(s.replica, db, s.ledger, s.log)
	s.observer.watch(s.authority, s.ledger, version)
	signer := auth.NewSigner(c.issuer(), c.issuer())
	verifier, err := auth.NewVerifier(c.issuer(), c.issuer(), maxTokens)
	if err != nil {
		return err
	}
	if s.signingKeys, err = auth.NewSigningKeys(s.authority, s.stores.Secret, auth.NewRotation(c.SigningKeyPeriod, c.TokenTTL), signer, verifier, s.log); err != nil {
		return err
	}
	if err := s.signingKeys.Rotate(ctx); err != nil {
		return err
	}
	hashes := c.hashes()
	passwords, blocklist := auth.NewPasswords(hashes, hashes*waitingHashes), auth.NewBlocklist()
	s.Groups = auth.NewGroups(db, now)
	s.Keys = auth.NewKeys(s.authority, s.stores.Secret)
	s.People = auth.NewPeople(s.authority, passwords, blocklist)
	s.sessions = auth.NewSessions(s.authority, passwords, blocklist, signer, s.stores.Secret, auth.Lifetimes{Token: c.TokenTTL, Refresh: c.RefreshTTL, Session: c.SessionTTL})
	s.Stock, s.Rules = s.stores.NewStock(inventory.Options{
		PageCacheBytes: int64(c.PageCacheMB) << 20, IndexBytes: int64(c.IndexMB) << 20, DocumentBytes: int64(c.DocumentCacheMB) << 20, Waiting: c.WaitingMax, Exports: c.ExportsMax, Now: now, Log: s.log,
	}, rule.Options{Max: c.RulesMax, Log: s.log})
	s.Dealers = &dealer.Dealers{DB: s.stores.Stock, Now: now, Held: s.Stock.Count, Changed: s.Stock.Bump}
	if err := s.wireFeeds(ctx); err != nil {
		return err
	}
	guard := &auth.Guard{
		Authority: s.authority, Keys: s.Keys, Tokens: verifier, Quota: s.ledger, SessionLimit: c.SessionRatePerHour,
		Addresses: quota.NewAddresses(c.AnonymousRatePerHour, c.QuotaWindow, now), Now: s.replica.StoreNow,
	}
	s.API = rest.New(rest.Config{
		Version: version, PublicURL: c.PublicURL, TrustedProxies: c.proxies, Gate: guard.Gate(), Observe: s.observer.observe, Log: s.log,
	})
	origins, err := auth.NewOrigins(c.PublicURL)
	if err != nil {
		return fmt.Errorf("--public-url: %w", err)
	}
	s.routes(origins)
	return nil
}

// changes is the channel on which replicas tell each other that the change log has grown. Without it they would hear of
// it with their next beat.
const changes = "carfluence_changes"

func (s *Server) notify(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.stores.Accounts.Notify(ctx, changes); err != nil {
		s.log.Warn("other replicas not told of a change; they find it with their next beat", "error", err)
	}
}

func (s *Server) listen(ctx context.Context) error {
	s.stores.Accounts.Listen(ctx, changes, s.replica.Wake)
	return nil
}

// routes lists everything the server answers to.
func (s *Server) routes(origins auth.Origins) {
	s.sessions.Register(s.API, origins)
	s.Groups.Register(s.API)
	s.signingKeys.Register(s.API)
	s.People.Register(s.API)
	s.Keys.Register(s.API)
	s.Dealers.Register(s.API)
	s.Stock.Register(s.API)
	s.Rules.Register(s.API)
	s.Feeds.Register(s.API)
	s.API.ServeDocument()
	mux := s.API.Mux()
	docs := docsite.Handler()
	mux.Handle("/docs", docs)
	mux.Handle("/docs/", docs)
	mux.Handle("/problems/", docsite.Problems(rest.ProblemTypes))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /{$}", http.RedirectHandler("/docs", http.StatusFound))
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// ready tells balancers whether requests can be answered: the databases read, and no shutdown has begun.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	switch {
	case s.draining.Load():
		plain(w, http.StatusServiceUnavailable, "The server is shutting down.\n")
	case s.replica.Refresh(ctx) != nil || s.stores.Stock.Ping(ctx) != nil:
		w.Header().Set("Retry-After", "1")
		plain(w, http.StatusServiceUnavailable, "The database is away.\n")
	default:
		plain(w, http.StatusOK, "ready\n")
	}
}

// ServeHTTP is the handler in front of everything.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() { // clients let go of the connection by themselves, so none is cut
		w.Header()["Connection"] = []string{"close"}
	}
	s.API.ServeHTTP(w, r)
}

// Close lets go of the installation, and leaves the other replicas; Run has done so when it returns.
func (s *Server) Close() error {
	if s.authority != nil {
		ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
		defer cancel()
		if err := s.authority.Stop(ctx); err != nil { // the others find out by themselves
			s.log.Warn("other replicas wait for this one until its lease is over", "error", err)
		}
	}
	return s.lock.Unlock()
}

// Listeners are the open ports of a server.
type Listeners struct {
	API     net.Listener
	Metrics net.Listener // nil when metrics are off
	SFTP    net.Listener // nil when the SFTP server is off
}

// URL is where the API answers.
func (s *Server) URL(l Listeners) string {
	scheme := "http"
	if s.config.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + l.API.Addr().String()
}

// Listen opens the ports.
func (s *Server) Listen(ctx context.Context) (l Listeners, err error) {
	var lc net.ListenConfig
	if l.API, err = lc.Listen(ctx, "tcp", s.config.Listen); err != nil {
		return l, fmt.Errorf("--listen: %w", err)
	}
	if tcp, ok := l.API.(*net.TCPListener); ok {
		l.API = newPort(tcp)
	}
	if l.SFTP, err = s.listenSFTP(ctx); err != nil {
		return l, errors.Join(err, l.close())
	}
	if s.config.MetricsListen == "off" || s.config.MetricsListen == "" {
		return l, nil
	}
	if l.Metrics, err = lc.Listen(ctx, "tcp", s.config.MetricsListen); err != nil {
		return l, errors.Join(fmt.Errorf("--metrics-listen: %w (another port, or 'off'?)", err), l.close())
	}
	return l, nil
}

// close gives the ports back that are open already.
func (l Listeners) close() error {
	err := l.API.Close()
	if l.SFTP != nil {
		err = errors.Join(err, l.SFTP.Close())
	}
	return err
}

// Run serves until ctx ends, then lets requests under way finish, settles credits, and returns. started is
// called once connections are accepted.
func (s *Server) Run(ctx context.Context, l Listeners, started func()) error {
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g, parts := errgroup.WithContext(whole)
	g.Go(func() error { return s.ledger.Run(whole) }) // to the end, also when another part has failed
	g.Go(func() error { return s.authority.Run(parts) })
	g.Go(func() error { return s.listen(parts) })
	g.Go(func() error { return s.lock.Keep(parts, s.log) })
	g.Go(func() error { return s.signingKeys.Run(parts) })
	g.Go(func() error { return s.prune(parts) })
	g.Go(func() error { s.warm(parts); return nil })
	g.Go(func() error { return s.jobs.Run(parts) })
	if l.SFTP != nil {
		g.Go(func() error { return s.sftp.Serve(parts, l.SFTP) })
	}
	api := s.httpServer(s)
	api.ReadHeaderTimeout, api.MaxHeaderBytes, api.ConnState = headerTimeout, 2*rest.MaxHeaderBytes, s.count
	g.Go(func() error { return s.serve(api, l.API, s.config.TLSCert, s.config.TLSKey) })
	metrics := s.httpServer(s.observer.handler())
	if l.Metrics != nil {
		g.Go(func() error { return s.serve(metrics, l.Metrics, "", "") })
	}
	started()
	select {
	case <-ctx.Done():
	case <-parts.Done():
	}
	err := s.shutdown(l.API, api, metrics)
	cancel() // only now: the ledger settles what the last requests spent
	all := g.Wait()
	s.Feeds.Settle()
	return errors.Join(err, all, s.Close())
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.connections.Add(-1)
	}
}

func (s *Server) serve(h *http.Server, l net.Listener, cert, key string) error {
	var err error
	if cert != "" {
		h.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		err = h.ServeTLS(l, cert, key)
	} else {
		err = h.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) || s.draining.Load() && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

func (s *Server) shutdown(l net.Listener, servers ...*http.Server) error {
	s.draining.Store(true)
	s.Stock.EndWaits()
	time.Sleep(s.config.Drain)
	if p, ok := l.(*port); ok {
		if err := p.turnAway(); err != nil {
			s.log.Warn("clients that connect now may be cut off", "error", err)
		}
	}
	// The port first: once Shutdown has begun, net/http drops requests it has not read yet.
	all := []error{l.Close()}
	for end := time.Now().Add(lastRequests); s.connections.Load() > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownLimit)
	defer cancel()
	for _, h := range servers {
		all = append(all, h.Shutdown(ctx))
	}
	return errors.Join(all...)
}

// warm makes the indexes of inventories before anybody asks, as far as there is room for all.
func (s *Server) warm(ctx context.Context) {
	groups, err := s.Groups.List(ctx)
	for _, g := range groups {
		more := false
		if more, err = s.Stock.Warm(ctx, s.stores.Stock.Tenant(g.ID)); !more {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("not all inventories are in memory yet; they will be when they are asked for", "error", err)
	}
}

// prune forgets what nobody needs any more.
func (s *Server) prune(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.pruneAll(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("old rows not pruned", "error", err)
			}
		}
	}
}

// pruneAll is done by one of several servers at a time; the next finds little left.
func (s *Server) pruneAll(ctx context.Context) error {
	held, err := s.stores.Accounts.Hold(ctx, "prune", sqldb.Holding{})
	if errors.Is(err, sqldb.ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	defer held.Release()
	all := []error{s.sessions.Prune(ctx), s.authority.Prune(ctx, changesKept)}
	groups, err := s.Groups.List(ctx)
	for _, g := range groups {
		all = append(all, s.ledger.Prune(ctx, g.ID, time.Now().Add(-usageKept)))
	}
	return errors.Join(append(all, err)...)
}

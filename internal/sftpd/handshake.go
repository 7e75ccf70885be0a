package sftpd

import (
	"context"
	"errors"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"carfluence/internal/errs"
)

// serverVersion names the product and no version.
const serverVersion = "SSH-2.0-Carfluence"

// maxUsername bounds what is looked up, in bytes.
const maxUsername = 128

// Refusals of a login. The client sees the same for all.
var (
	errTries    = errors.New("too many failed passwords on this connection")
	errThrottle = errors.New("too many failed logins from this address lately")
	errUsername = errors.New("no integration has such a user name")
)

// loginKey finds the login in ssh.Permissions, the one place that says who has proved to be whom: the
// callbacks may have been called for several names and keys.
type loginKey struct{}

// algorithms are those that ssh-audit accepts without a warning.
func algorithms() ssh.Config {
	return ssh.Config{
		KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, ssh.KeyExchangeDH16SHA512},
		Ciphers: []string{
			ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM, ssh.CipherAES128GCM,
			ssh.CipherAES256CTR, ssh.CipherAES192CTR, ssh.CipherAES128CTR,
		},
		MACs: []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM},
	}
}

// handshake is the settings of one connection's handshake.
func (c *connection) handshake() *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		Config:                  algorithms(),
		PublicKeyAuthAlgorithms: ssh.SupportedAlgorithms().PublicKeyAuths,
		MaxAuthTries:            c.limits.AuthTries + keyOffers,
		ServerVersion:           serverVersion,
		PasswordCallback: func(conn ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return c.password(conn.User(), string(password))
		},
		KeyboardInteractiveCallback: func(conn ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, errors.Join(err, errors.New("no answer"))
			}
			return c.password(conn.User(), answers[0])
		},
		PublicKeyCallback: func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			return c.key(conn.User(), key)
		},
	}
	config.AddHostKey(c.server.config.HostKey)
	return config
}

// password checks a password, within the tries of the connection and the failures of its address.
func (c *connection) password(username, password string) (*ssh.Permissions, error) {
	if c.failed >= c.limits.AuthTries {
		c.end("too many failed logins")
		return nil, errTries
	}
	c.keyed[username] = false
	return c.prove(username, "password", func(ctx context.Context) (Login, error) {
		return c.server.config.Authenticate(ctx, username, password, c.address)
	})
}

// key checks whether a key could log in; that the client has it is proved afterwards.
func (c *connection) key(username string, key ssh.PublicKey) (*ssh.Permissions, error) {
	return c.prove(username, "key", func(ctx context.Context) (Login, error) {
		login, err := c.server.config.AuthenticateKey(ctx, username, key, c.address)
		if _, known := c.keyed[username]; !known && errs.KindOf(err) != errs.KindUnavailable {
			c.keyed[username] = true
		}
		return login, err
	})
}

// prove asks who logs in, and counts failures.
func (c *connection) prove(username, method string, ask func(context.Context) (Login, error)) (*ssh.Permissions, error) {
	login, err := c.ask(username, ask)
	if err == nil {
		return &ssh.Permissions{ExtraData: map[any]any{loginKey{}: login}}, nil
	}
	c.log.Info("login refused", "username", logged(username), "method", method, "reason", err)
	if method == "password" { // keys can't be guessed
		c.failed++
		if !errors.Is(err, errThrottle) && errs.KindOf(err) != errs.KindUnavailable {
			_, _ = c.server.failures.Take(c.address.String())
		}
	}
	return nil, err
}

func (c *connection) ask(username string, ask func(context.Context) (Login, error)) (Login, error) {
	if username == "" || len(username) > maxUsername || !utf8.ValidString(username) {
		return Login{}, errUsername
	}
	if charge := c.server.failures.Look(c.address.String()); charge != nil && charge.Settle(0).Remaining <= 0 {
		return Login{}, errThrottle
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.limits.Handshake)
	defer cancel()
	login, err := ask(ctx)
	if err == nil && !validID(login.Integration) {
		err = errors.New("the integration has no usable id")
	}
	return login, err
}

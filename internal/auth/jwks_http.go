package auth

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"carfluence/internal/rest"
)

type jwksOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         PublicKeys
}

// Register adds the public keys at the host's root.
func (k *SigningKeys) Register(api *rest.API) {
	rest.Register(api, rest.Operation{
		ID: "list-signing-keys", Method: http.MethodGet, Path: "/.well-known/jwks.json", Root: true, Summary: "Public keys of session tokens", Tag: "Sessions",
		Security: rest.Open(), Description: "A JSON Web Key Set (RFC 7517). A key is published long enough before it signs, and after, that no good token is refused.",
	}, func(context.Context, *struct{}) (*jwksOutput, error) {
		return &jwksOutput{
			CacheControl: fmt.Sprintf("public, max-age=%d", JWKSMaxAge/time.Second),
			Body:         k.current.Load().JWKS(k.authority.now()),
		}, nil
	})
}

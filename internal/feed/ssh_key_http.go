package feed

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/rest"
)

type sshKeyBody struct {
	ID          string    `json:"id" doc:"UUID of the key."`
	Name        *string   `json:"name" nullable:"true" example:"feeds@vauto"`
	PublicKey   string    `json:"publicKey" doc:"As in an authorized_keys file, without options and comment." example:"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBlpR3nQzkeb9CqcJb0oPYq2aMVvXEC1ozbsK3fLnCmT"`
	Fingerprint string    `json:"fingerprint" example:"SHA256:uNiVztksCsDhcc0u9e8BrqXoxtHLT4zYmQoiR6U5XoQ"`
	CreatedAt   time.Time `json:"createdAt"`
}

func keyBodyOf(k SSHKey) sshKeyBody {
	return sshKeyBody{k.ID, rest.TextOrNull(k.Name), k.PublicKey, k.Fingerprint, rest.Seconds(k.CreatedAt)}
}

func keyBodies(keys []SSHKey) []sshKeyBody {
	out := make([]sshKeyBody, 0, len(keys))
	for _, k := range keys {
		out = append(out, keyBodyOf(k))
	}
	return out
}

type credentialsOutput struct {
	Body struct {
		SFTP credentialsBody `json:"sftp"`
	}
}

type listSSHKeysInput struct {
	ID string `path:"id" doc:"Id of the integration."`
	rest.PageInput
}

type listSSHKeysOutput struct {
	Body struct {
		SSHKeys    []sshKeyBody    `json:"sshKeys"`
		Pagination rest.Pagination `json:"pagination"`
	}
}

type addSSHKeyInput struct {
	ID   string `path:"id" doc:"Id of the integration."`
	Body struct {
		Name      string `json:"name,omitempty" nullable:"true" maxLength:"100" doc:"The comment of the key unless given." example:"feeds@vauto"`
		PublicKey string `json:"publicKey" minLength:"1" maxLength:"16384" doc:"One line as in an authorized_keys file, without options: Ed25519, ECDSA, or RSA of 2048 bits and more." example:"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBlpR3nQzkeb9CqcJb0oPYq2aMVvXEC1ozbsK3fLnCmT feeds@vauto"`
	}
}

// Resolve implements huma.Resolver.
func (in *addSSHKeyInput) Resolve(huma.Context) []error {
	_, err := newSSHKey(in.Body.Name, in.Body.PublicKey)
	return listed(err)
}

type addedSSHKeyOutput struct {
	Location string `header:"Location"`
	Body     struct {
		SSHKey sshKeyBody `json:"sshKey"`
	}
}

type sshKeyOutput struct {
	Body struct {
		SSHKey sshKeyBody `json:"sshKey"`
	}
}

type sshKeyIDInput struct {
	ID    string `path:"id" doc:"Id of the integration."`
	KeyID string `path:"keyId" doc:"Id of the key."`
}

func (f *Feeds) registerCredentials(api *rest.API) {
	read, write := rest.Scope(readScope), rest.Scope(writeScope)
	auth.Handle(api, rest.Operation{
		ID: "rotate-integration-credentials", Method: http.MethodPost, Path: "/integrations/{id}/credentials", Summary: "Make a new SFTP password", Tag: tag, Security: write,
		Credentials: true,
		Description: "The old password and all open connections end at once. The new one is shown this once.",
	}, func(ctx context.Context, p auth.Principal, in *integrationIDInput) (*credentialsOutput, error) {
		c, err := f.Rotate(ctx, f.DB.Tenant(p.Group), p.Actor(), in.ID)
		out := &credentialsOutput{}
		out.Body.SFTP = f.credentialsBody(c)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "list-integration-ssh-keys", Method: http.MethodGet, Path: "/integrations/{id}/ssh-keys", Summary: "List the SSH keys of an integration", Tag: tag, Security: read,
		Codes: []string{"invalid"}, Description: "Newest first.",
	}, func(ctx context.Context, p auth.Principal, in *listSSHKeysInput) (*listSSHKeysOutput, error) {
		keys, total, err := f.SSHKeys(ctx, f.DB.Tenant(p.Group), in.ID, in.Page())
		out := &listSSHKeysOutput{}
		out.Body.SSHKeys, out.Body.Pagination = keyBodies(keys), in.Page().With(total)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "add-integration-ssh-key", Method: http.MethodPost, Path: "/integrations/{id}/ssh-keys", Summary: "Let an integration log in by an SSH key", Tag: tag, Security: write,
		Status: http.StatusCreated, Codes: []string{"ssh_key_exists", "too_many_ssh_keys"},
		Description: "Beside the password, which goes on working. An integration has at most 20 keys.",
	}, func(ctx context.Context, p auth.Principal, in *addSSHKeyInput) (*addedSSHKeyOutput, error) {
		k, err := f.AddSSHKey(ctx, f.DB.Tenant(p.Group), p.Actor(), in.ID, in.Body.Name, in.Body.PublicKey)
		out := &addedSSHKeyOutput{Location: rest.Prefix + "/integrations/" + in.ID + "/ssh-keys/" + k.ID}
		out.Body.SSHKey = keyBodyOf(k)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "get-integration-ssh-key", Method: http.MethodGet, Path: "/integrations/{id}/ssh-keys/{keyId}", Summary: "Show an SSH key of an integration", Tag: tag, Security: read,
	}, func(ctx context.Context, p auth.Principal, in *sshKeyIDInput) (*sshKeyOutput, error) {
		k, err := f.SSHKey(ctx, f.DB.Tenant(p.Group), in.ID, in.KeyID)
		out := &sshKeyOutput{}
		out.Body.SSHKey = keyBodyOf(k)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "remove-integration-ssh-key", Method: http.MethodDelete, Path: "/integrations/{id}/ssh-keys/{keyId}", Summary: "Take an SSH key away", Tag: tag, Security: write,
		Status:      http.StatusNoContent,
		Description: "All open connections of the integration end at once.",
	}, func(ctx context.Context, p auth.Principal, in *sshKeyIDInput) (*struct{}, error) {
		return nil, f.RemoveSSHKey(ctx, f.DB.Tenant(p.Group), p.Actor(), in.ID, in.KeyID)
	})
}

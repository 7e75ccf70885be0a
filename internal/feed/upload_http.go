package feed

import (
	"context"
	"net/http"
	"time"

	"carfluence/internal/auth"
	"carfluence/internal/rest"
)

// uploadIdle is how long an upload may stand still.
const uploadIdle = 30 * time.Second

type uploadInput struct {
	ID       string    `path:"id" doc:"Id of the integration."`
	Filename string    `query:"filename" required:"true" minLength:"1" maxLength:"200" doc:"The file's name. A time in it says how old the file is; its extension may settle the delimiter." example:"stock-2026-11-23.csv"`
	Modified time.Time `query:"modified" doc:"When the file was made (RFC 3339), unless its name tells."`
}

type uploadOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Log LogBody `json:"log"`
	}
}

func (f *Feeds) registerUploads(api *rest.API) {
	upload := rest.Upload{MaxBytes: f.Limits.FileBytes, Idle: uploadIdle, Doc: "The file as it is: delimited text, or one such file packed with gzip or ZIP."}
	auth.Handle(api, rest.Operation{
		ID: "upload-integration-file", Method: http.MethodPost, Path: "/integrations/{id}/files", Summary: "Upload a file", Tag: tag, Security: rest.Scope(writeScope),
		Status: http.StatusAccepted, Upload: &upload, Codes: []string{"integration_paused"},
		Description: "The same as dropping it by SFTP. When this has answered the file is safe and will be processed; the log at `Location` tells what becomes of it.",
	}, func(ctx context.Context, p auth.Principal, in *uploadInput) (*uploadOutput, error) {
		r, err := f.Receive(ctx, f.DB.Tenant(p.Group), in.ID, Upload{Name: in.Filename, ModTime: in.Modified, By: p.Actor(), File: rest.UploadOf(ctx, upload)})
		if err != nil {
			return nil, err
		}
		out := &uploadOutput{Location: rest.Prefix + "/integrations/" + r.IntegrationID + "/logs/" + r.ID}
		out.Body.Log = logBodyOf(r)
		return out, nil
	})
}

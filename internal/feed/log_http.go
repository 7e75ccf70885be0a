package feed

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"carfluence/internal/auth"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// LogBody is what became of a file, in short.
type LogBody struct {
	ID             string     `json:"id" doc:"UUID of the log."`
	IntegrationID  string     `json:"integration_id"`
	Filename       string     `json:"filename" example:"stock-2026-11-23.csv"`
	Status         string     `json:"status" enum:"queued,running,completed,failed,held,superseded,discarded"`
	ReceivedAt     time.Time  `json:"received_at"`
	ProcessedAt    *time.Time `json:"processed_at" nullable:"true" doc:"Null until the file is done with."`
	RecordsTotal   int64      `json:"records_total" doc:"created + updated + errors; the file's rows while running."`
	RecordsCreated int64      `json:"records_created"`
	RecordsUpdated int64      `json:"records_updated" doc:"Unchanged ones among them."`
	RecordsErrors  int64      `json:"records_errors" doc:"Rows that were left out."`
	DurationMS     int64      `json:"duration_ms"`

	RecordsDone     int64   `json:"records_done" doc:"Rows done with while running, else records_total."`
	RecordsSkipped  int64   `json:"records_skipped" doc:"Rows about no vehicle of ours: leads without a VIN, and unknown vehicles of an integration that creates none. Not in records_total."`
	RecordsWarnings int64   `json:"records_warnings" doc:"Oddities in rows that were taken."`
	VehiclesMissing int64   `json:"vehicles_missing" doc:"Listed before, not in this file."`
	VehiclesSold    int64   `json:"vehicles_sold" doc:"Of the missing ones, given up with this file."`
	VehiclesMoved   int64   `json:"vehicles_moved" doc:"Of the missing ones, given up while another integration of the group lists them: transfers, no sales."`
	Bytes           int64   `json:"bytes" doc:"Of the file as received."`
	Code            *string `json:"code" nullable:"true" doc:"Of a failed file: why, as in the list of problems."`
	Detail          *string `json:"detail" nullable:"true" doc:"Of a failed or held file: why, and what to do."`

	RuleFaults []RuleFaultBody `json:"rule_faults" doc:"Rules that could not do their work on some vehicles; the fields are left alone. Of a file with the same bytes as the one before: as then."`
}

// RuleFaultBody counts what kept a rule from doing its work.
type RuleFaultBody struct {
	RuleID   string `json:"rule_id"`
	RuleName string `json:"rule_name" example:"Five percent under"`
	Count    int64  `json:"count" doc:"Actions that could not be carried out."`
	VIN      string `json:"vin" doc:"Of an example."`
	Field    string `json:"field" doc:"That was left alone there." example:"internet_price"`
	Reason   string `json:"reason" doc:"Told to administrators only when the rule uses sensitive fields." example:"msrp is empty"`
}

func logBodyOf(r Run) LogBody {
	c := r.Counts
	b := LogBody{
		ID: r.ID, IntegrationID: r.IntegrationID, Filename: r.Filename, Status: r.Status, ReceivedAt: rest.Seconds(r.ReceivedAt), ProcessedAt: rest.SecondsOrNull(r.ProcessedAt),
		RecordsTotal: c.Total, RecordsCreated: c.Created, RecordsUpdated: c.Updated, RecordsErrors: c.Errors, RecordsSkipped: c.Skipped, RecordsWarnings: c.Warnings,
		VehiclesMissing: c.Missing, VehiclesSold: c.Sold, VehiclesMoved: r.Report.Moved, DurationMS: r.Duration.Milliseconds(), Bytes: r.Size, Code: rest.TextOrNull(r.Code), Detail: rest.TextOrNull(r.Detail),
		RecordsDone: c.Total, RuleFaults: make([]RuleFaultBody, 0, len(r.Report.Rules)),
	}
	for _, f := range r.Report.Rules {
		b.RuleFaults = append(b.RuleFaults, RuleFaultBody{f.ID, f.Name, f.Count, f.VIN, f.Field, f.Reason})
	}
	if r.Status == RunRunning {
		b.RecordsDone = r.RowsDone
	}
	return b
}

// hideFaults withholds what may tell of sensitive fields from a caller who may not see them.
func (r *Run) hideFaults(p auth.Principal) {
	for i := range r.Report.Rules {
		if f := &r.Report.Rules[i]; f.Hidden && !p.Scopes.Has(auth.Admin) {
			f.Reason = vehicle.HiddenReason
		}
	}
}

type actorBody struct {
	Type *string `json:"type" nullable:"true" enum:"integration,person,api_key,system"`
	ID   *string `json:"id" nullable:"true"`
	Name *string `json:"name" nullable:"true"`
}

// LogDetail is a log with all that is known of its file.
type LogDetail struct {
	LogBody
	ReceivedBy actorBody          `json:"received_by" doc:"Who sent the file: the integration's own login, a person or a key."`
	SHA256     string             `json:"sha256" doc:"Of the file as received, hexadecimal."`
	FileTime   *time.Time         `json:"file_time" nullable:"true" doc:"When the file was made, by its name or as its sender set it. A file older than one that was processed is refused."`
	Repeated   bool               `json:"repeated" doc:"The same bytes as the file before: its rows were not processed again."`
	Charset    *string            `json:"charset" nullable:"true"`
	Delimiter  *string            `json:"delimiter" nullable:"true"`
	Layout     *string            `json:"layout" nullable:"true" doc:"Name of the known layout of a file without a header."`
	Unpacked   *string            `json:"unpacked" nullable:"true" doc:"Name of the file inside an archive."`
	Columns    []string           `json:"columns"`
	Unmapped   []string           `json:"columns_unmapped" doc:"Columns that feed nothing."`
	Notes      []string           `json:"notes" doc:"What was odd about the file as a whole; changed columns among it."`
	Warnings   []KindCount        `json:"warnings" doc:"Kinds of warnings, commonest first."`
	Would      rest.OrNull[Would] `json:"would" doc:"Of a held file: what it would do."`
	Unlisted   int64              `json:"problems_unlisted" doc:"Errors and warnings beyond those that are kept."`
}

// LogDetailOf is a run on the wire.
func LogDetailOf(r Run) LogDetail {
	rep := r.Report
	return LogDetail{
		LogBody: logBodyOf(r), ReceivedBy: actorBody{rest.TextOrNull(r.ReceivedBy.Type), rest.TextOrNull(r.ReceivedBy.ID), rest.TextOrNull(r.ReceivedBy.Name)}, SHA256: r.SHA256, FileTime: rest.SecondsOrNull(r.FileTime), Repeated: rep.Repeated, Charset: rest.TextOrNull(rep.Charset), Delimiter: rest.TextOrNull(rep.Delimiter),
		Layout: rest.TextOrNull(rep.Layout), Unpacked: rest.TextOrNull(rep.Unpacked), Columns: list(rep.Columns), Unmapped: list(rep.Unmapped), Notes: list(rep.Notes),
		Warnings: list(rep.Kinds), Would: rest.OrNull[Would]{Value: rep.Would}, Unlisted: rep.Unlisted,
	}
}

// list is never null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// RowProblemBody is a row error or a warning on the wire.
type RowProblemBody struct {
	Line   int     `json:"line" doc:"Physical line of the file on which the row begins."`
	Result string  `json:"result" enum:"refused,warning"`
	Column *string `json:"column" nullable:"true" doc:"As in the header; null for the row as a whole."`
	Value  *string `json:"value" nullable:"true" doc:"As found, shortened."`
	Reason string  `json:"reason"`
}

// RowProblemBodyOf is a problem on the wire.
func RowProblemBodyOf(p mapping.Problem) RowProblemBody {
	return RowProblemBody{p.Line, resultOf(p), rest.TextOrNull(p.Column), rest.TextOrNull(p.Value), p.Reason}
}

type logsInput struct {
	rest.PageInput
	ID string `path:"id" doc:"Id of the integration."`
}

type logIDInput struct {
	ID    string `path:"id" doc:"Id of the integration."`
	LogID string `path:"logId" doc:"Id of the log."`
}

type logInput struct {
	ID    string `path:"id" doc:"Id of the integration."`
	LogID string `path:"logId" doc:"Id of the log."`
	rest.PageInput
}

type logsOutput struct {
	Body struct {
		Logs       []LogBody       `json:"logs"`
		Pagination rest.Pagination `json:"pagination"`
	}
}

type logOutput struct {
	Body struct {
		Log LogBody `json:"log"`
	}
}

type logDetailOutput struct {
	Body struct {
		Log        LogDetail        `json:"log"`
		Errors     []RowProblemBody `json:"errors" doc:"Row errors and warnings in order of lines."`
		Pagination rest.Pagination  `json:"pagination" doc:"Of errors."`
	}
}

type csvOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

func (f *Feeds) registerLogs(api *rest.API) {
	read, write := rest.Scope(readScope), rest.Scope(writeScope)
	auth.Handle(api, rest.Operation{
		ID: "list-integration-logs", Method: http.MethodGet, Path: "/integrations/{id}/logs", Summary: "List an integration's files", Tag: tag, Security: read, Codes: []string{"invalid"},
		Description: "What became of each file, newest first.",
	}, func(ctx context.Context, p auth.Principal, in *logsInput) (*logsOutput, error) {
		runs, total, err := f.Logs(ctx, f.DB.Tenant(p.Group), in.ID, in.Page())
		out := &logsOutput{}
		out.Body.Logs = make([]LogBody, 0, len(runs))
		for _, r := range runs {
			r.hideFaults(p)
			out.Body.Logs = append(out.Body.Logs, logBodyOf(r))
		}
		out.Body.Pagination = in.Page().With(total)
		return out, err
	})
	auth.Handle(api, rest.Operation{
		ID: "get-integration-log", Method: http.MethodGet, Path: "/integrations/{id}/logs/{logId}", Summary: "Show a file's log", Tag: tag, Security: read, Codes: []string{"invalid"},
		Description: "With its row errors and warnings, a page at a time.",
	}, f.showLog)
	auth.Handle(api, rest.Operation{
		ID: "get-integration-log-csv", Method: http.MethodGet, Path: "/integrations/{id}/logs/{logId}/errors.csv", Summary: "Download a file's row errors", Tag: tag, Security: read,
		Description: "All row errors and warnings that are kept, as CSV to send back to the vendor. Cells that a spreadsheet would take for a formula begin with an apostrophe.",
	}, f.problemsCSV)
	for _, d := range []struct {
		id, path, summary, text string
		act                     func(context.Context, auth.Principal, *logIDInput) (Run, error)
	}{
		{"confirm-integration-log", "confirm", "Confirm a held file", "The file is processed after all and sells what it would sell.", func(ctx context.Context, p auth.Principal, in *logIDInput) (Run, error) {
			return f.Confirm(ctx, f.DB.Tenant(p.Group), p.Actor(), in.ID, in.LogID)
		}},
		{"discard-integration-log", "discard", "Discard a held file", "The file changes nothing.", func(ctx context.Context, p auth.Principal, in *logIDInput) (Run, error) {
			return f.Discard(ctx, f.DB.Tenant(p.Group), p.Actor(), in.ID, in.LogID)
		}},
	} {
		auth.Handle(api, rest.Operation{
			ID: d.id, Method: http.MethodPost, Path: "/integrations/{id}/logs/{logId}/" + d.path, Summary: d.summary, Tag: tag, Security: write, Codes: []string{"run_not_held", "run_superseded"},
			Description: d.text,
		}, func(ctx context.Context, p auth.Principal, in *logIDInput) (*logOutput, error) {
			r, err := d.act(ctx, p, in)
			r.hideFaults(p)
			out := &logOutput{}
			out.Body.Log = logBodyOf(r)
			return out, err
		})
	}
}

func (f *Feeds) showLog(ctx context.Context, p auth.Principal, in *logInput) (*logDetailOutput, error) {
	t := f.DB.Tenant(p.Group)
	r, err := f.LogOf(ctx, t, in.ID, in.LogID)
	if err != nil {
		return nil, err
	}
	r.hideFaults(p)
	hidden, err := f.hiddenFrom(ctx, t, p, &r)
	if err != nil {
		return nil, err
	}
	problems, total, err := f.Problems(ctx, t, r.ID, in.Page())
	for i := range r.Report.Kinds {
		if k := &r.Report.Kinds[i]; hidden[k.Column] {
			k.Reason = "values can't be read"
		}
	}
	out := &logDetailOutput{}
	out.Body.Log = LogDetailOf(r)
	out.Body.Errors = make([]RowProblemBody, 0, len(problems))
	for _, p := range problems {
		out.Body.Errors = append(out.Body.Errors, RowProblemBodyOf(hidden.Redact(p)))
	}
	out.Body.Pagination = in.Page().With(total)
	return out, err
}

// hiddenFrom are the columns of a file whose values a caller may not see.
func (f *Feeds) hiddenFrom(ctx context.Context, t *sqldb.Tenant, p auth.Principal, r *Run) (mapping.Hidden, error) {
	if p.Scopes.Has(auth.Admin) {
		return nil, nil
	}
	in, err := f.Integration(ctx, t, r.IntegrationID)
	return mapping.HiddenIn(r.Report.Columns, in.options()), err
}

func (f *Feeds) problemsCSV(ctx context.Context, p auth.Principal, in *logIDInput) (*csvOutput, error) {
	t := f.DB.Tenant(p.Group)
	r, err := f.LogOf(ctx, t, in.ID, in.LogID)
	if err != nil {
		return nil, err
	}
	hidden, err := f.hiddenFrom(ctx, t, p, &r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := f.WriteProblems(ctx, t, r.ID, hidden, &b); err != nil {
		return nil, err
	}
	return &csvOutput{ContentType: "text/csv; charset=utf-8", Disposition: `attachment; filename="errors-` + r.ID + `.csv"`, Body: b.Bytes()}, nil
}

type unmatchedBody struct {
	IntegrationID   string    `json:"integration_id"`
	IntegrationName string    `json:"integration_name"`
	Code            *string   `json:"code" nullable:"true" doc:"As the file writes it."`
	Name            *string   `json:"name" nullable:"true" doc:"As the file writes it."`
	Vehicles        int64     `json:"vehicles" doc:"Rows of the latest file that named it."`
	FirstSeenAt     time.Time `json:"first_seen_at"`
	LastSeenAt      time.Time `json:"last_seen_at"`
}

type unmatchedOutput struct {
	Body struct {
		Unmatched  []unmatchedBody `json:"unmatched"`
		Pagination rest.Pagination `json:"pagination"`
	}
}

func (f *Feeds) registerUnmatched(api *rest.API) {
	auth.Handle(api, rest.Operation{
		ID: "list-unmatched-dealers", Method: http.MethodGet, Path: "/dealers/unmatched", Summary: "List names in feeds that lead to no dealership", Tag: "Dealers",
		Security: rest.Scope("dealers:read"), Codes: []string{"invalid"},
		Description: "As of each integration's latest file. Their vehicles are held by the integration's own dealership until an alias leads elsewhere (`POST /dealers/{id}/aliases`).",
	}, func(ctx context.Context, p auth.Principal, in *rest.PageInput) (*unmatchedOutput, error) {
		names, total, err := selectUnmatched(ctx, f.DB.Tenant(p.Group), in.Page())
		out := &unmatchedOutput{}
		out.Body.Unmatched = make([]unmatchedBody, 0, len(names))
		for _, u := range names {
			out.Body.Unmatched = append(out.Body.Unmatched, unmatchedBody{u.IntegrationID, u.IntegrationName, rest.TextOrNull(u.Code), rest.TextOrNull(u.Name), u.Vehicles, rest.Seconds(u.FirstSeenAt), rest.Seconds(u.LastSeenAt)})
		}
		out.Body.Pagination = in.Page().With(total)
		return out, err
	})
}

package rest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/errs"
)

var (
	errTooLarge  = errs.New(errs.KindTooLarge, "too_large", "The body is larger than 1 MiB, the most this call accepts.")
	errMediaType = errs.New(kindMediaType, "unsupported_media_type", "Send the body as JSON with Content-Type: application/json.")
)

// humaError says in our words what the library found.
func humaError(status int, msg string, faults []error) error {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return errTooLarge
	case status == http.StatusUnsupportedMediaType:
		return errMediaType
	case status == http.StatusRequestTimeout:
		return errs.New(kindTimeout, "request_timeout", "The body did not arrive within 30 seconds.")
	case status == http.StatusBadRequest:
		return errs.New(errs.KindMalformed, "malformed", "The body is not acceptable JSON: "+syntaxMessage(msg, faults)+".")
	case strings.HasPrefix(msg, "cannot read request body"):
		return errs.New(errs.KindMalformed, "malformed", "The body ended before it was complete.")
	case status == http.StatusUnprocessableEntity:
		return errs.Invalid("invalid", invalidDetail(len(faults)), faultsOf(faults)...)
	}
	return errs.New(errs.KindInternal, "internal", msg)
}

func invalidDetail(faults int) string {
	if faults > maxFaults {
		return fmt.Sprintf("The request can't be accepted; errors lists %d of %d faults.", maxFaults, faults)
	}
	return "The request can't be accepted; errors lists every fault."
}

// syntaxMessage is what was wrong with the body; parameters may have faults beside it.
func syntaxMessage(msg string, faults []error) string {
	for _, f := range faults {
		if d, ok := f.(huma.ErrorDetailer); ok && d.ErrorDetail().Location == "body" {
			return clip(withoutSecrets(d.ErrorDetail().Message), 300)
		}
	}
	return msg
}

// maxFaults bounds the faults listed: a body of 1 MiB can hold half a million.
const maxFaults = 100

// faultsOf lists all faults, in an order that does not change from one request to the next.
func faultsOf(list []error) []errs.Fault {
	var out []errs.Fault
	for _, err := range list[:min(len(list), maxFaults)] {
		if e, ok := errors.AsType[*errs.Error](err); ok { // of an input's own check, which runs last
			out = append(out, unnamed(out, e.Faults)...)
			continue
		}
		d, ok := err.(huma.ErrorDetailer)
		if !ok {
			out = append(out, errs.At("#", err.Error()))
			continue
		}
		out = append(out, faultAt(d.ErrorDetail().Location, d.ErrorDetail().Message))
	}
	slices.SortStableFunc(out, func(a, b errs.Fault) int {
		return cmp.Or(cmp.Compare(a.Parameter, b.Parameter), cmp.Compare(len(a.Pointer), len(b.Pointer)), cmp.Compare(a.Pointer, b.Pointer))
	})
	return out
}

// Faults are faults as an input's Resolve returns them: to be named beside the schema's.
func Faults(list ...errs.Fault) []error {
	if len(list) == 0 {
		return nil
	}
	return []error{errs.Invalid("invalid", "The request can't be accepted.", list...)}
}

// Beside adds faults to a refusal for other ones. An input's Resolve calls it for checks that its operation makes
// again with more to know, so that a request is told everything either way.
func Beside(ctx huma.Context, faults ...errs.Fault) {
	x := From(ctx.Context())
	x.beside = append(x.beside, faults...)
}

// unnamed are the further faults at places where nothing has been found, of a body that is an object at all.
func unnamed(named, further []errs.Fault) []errs.Fault {
	return slices.DeleteFunc(slices.Clone(further), func(f errs.Fault) bool {
		return slices.ContainsFunc(named, func(n errs.Fault) bool {
			return n.Pointer == f.Pointer && n.Parameter == f.Parameter || n.Pointer == "#" && f.Parameter == ""
		})
	})
}

// faultAt turns the library's "body.scopes[0]" and "query.limit" into a JSON pointer or a parameter's name.
func faultAt(location, detail string) errs.Fault {
	where, name, _ := strings.Cut(location, ".")
	if where != "body" && !strings.HasPrefix(where, "body[") {
		return errs.In(name, detail)
	}
	path := strings.TrimPrefix(strings.TrimPrefix(strings.ReplaceAll(location, ".⁂", ""), "body"), ".")
	if rest, ok := strings.CutPrefix(detail, misfitMark); ok {
		path, detail, _ = strings.Cut(rest, ": ")
	}
	if member, ok := missingMember(detail); ok {
		path += "." + member
	}
	return errs.At(pointerOf(path), detail)
}

// A missing member is reported at its parent; the pointer should name the member itself.
func missingMember(detail string) (string, bool) {
	rest, ok := strings.CutPrefix(detail, "expected required property ")
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(rest, " ")
	return name, ok
}

var (
	pathSteps      = strings.NewReplacer("[", ".", "]", "")
	pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")
)

// pointerOf turns "parts[1].color" into a JSON pointer in its URI fragment form (RFC 6901 §6).
func pointerOf(path string) string {
	path = pathSteps.Replace(path)
	pointer := "#"
	for name := range strings.SplitSeq(path, ".") {
		if name == "" {
			continue
		}
		name = pointerEscapes.Replace(withoutSecrets(showSigns.Replace(name)))
		pointer += "/" + url.PathEscape(name)
	}
	return pointer
}

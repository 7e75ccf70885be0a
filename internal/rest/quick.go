package rest

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// The way around the library, for operations whose input is decided by the address alone and whose answer is Encoded:
// the library decodes and checks each query once, and what it made of it is remembered. So the declaration stays the
// one source of what is accepted, and a query that is not remembered, or was refused, goes the whole way.

// Bounds of what is remembered of an operation.
const (
	maxInputs     = 4096
	maxInputQuery = 256 // bytes; longer ones go the whole way
)

// inputs are those of an operation by their query, without path parameters.
type inputs[I any] struct {
	paths []field // text without conditions
	lists []field

	mu    sync.RWMutex
	known map[string]I
}

type field struct {
	index []int
	name  string
}

// newInputs is nil for a type whose values are not decided by the address, or could not be copied.
func newInputs[I any]() *inputs[I] {
	t := reflect.TypeFor[I]()
	resolver, withPath := reflect.TypeFor[huma.Resolver](), reflect.TypeFor[huma.ResolverWithPath]()
	if p := reflect.PointerTo(t); t.Kind() != reflect.Struct || p.Implements(resolver) || p.Implements(withPath) {
		return nil
	}
	n := &inputs[I]{known: map[string]I{}}
	if !n.fields(t, nil) {
		return nil
	}
	return n
}

func (n *inputs[I]) fields(t reflect.Type, at []int) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(at[:len(at):len(at)], i)
		_, query := f.Tag.Lookup("query")
		path, inPath := f.Tag.Lookup("path")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			if !n.fields(f.Type, index) {
				return false
			}
		case inPath && unconditional(f):
			n.paths = append(n.paths, field{index, path})
		case query && f.Type == reflect.TypeFor[[]string]():
			n.lists = append(n.lists, field{index: index})
		case !query || !plainKind(f.Type.Kind()):
			return false
		}
	}
	return true
}

func unconditional(f reflect.StructField) bool {
	for _, tag := range []string{"enum", "format", "pattern", "minLength", "maxLength"} {
		if _, has := f.Tag.Lookup(tag); has {
			return false
		}
	}
	return f.Type.Kind() == reflect.String
}

func plainKind(k reflect.Kind) bool {
	return k == reflect.String || k == reflect.Bool || k >= reflect.Int && k <= reflect.Uint64 || k == reflect.Float64
}

// of is the input of a request whose query is remembered.
func (n *inputs[I]) of(r *http.Request) (*I, bool) {
	n.mu.RLock()
	in, ok := n.known[r.URL.RawQuery]
	n.mu.RUnlock()
	if !ok {
		return nil, false
	}
	own := &in
	if len(n.paths)+len(n.lists) == 0 {
		return own, true
	}
	v := reflect.ValueOf(own).Elem()
	for _, p := range n.paths {
		text := r.PathValue(p.name)
		if text == "" {
			return nil, false
		}
		v.FieldByIndex(p.index).SetString(text)
	}
	n.copyLists(v)
	return own, true
}

// keep remembers what the library made of a query.
func (n *inputs[I]) keep(query string, in I) {
	if len(query) > maxInputQuery {
		return
	}
	v := reflect.ValueOf(&in).Elem()
	for _, p := range n.paths {
		v.FieldByIndex(p.index).SetString("")
	}
	n.copyLists(v)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= maxInputs {
		for any := range n.known {
			delete(n.known, any)
			break
		}
	}
	n.known[strings.Clone(query)] = in
}

// copyLists makes lists the value's own.
func (n *inputs[I]) copyLists(v reflect.Value) {
	for _, l := range n.lists {
		if f := v.FieldByIndex(l.index); !f.IsNil() {
			f.Set(reflect.ValueOf(append([]string{}, f.Interface().([]string)...)))
		}
	}
}

// quick answers an exchange, or leaves it to the library.
type quick func(*Exchange) bool

// quickly is nil for an operation the library is needed for.
func quickly[I, O any](a *API, op Operation, n *inputs[I], handle func(context.Context, *I) (*O, error)) quick {
	var out *O
	if _, encoded := any(out).(*Encoded); n == nil || !encoded || op.Method != http.MethodGet {
		return nil
	}
	return func(x *Exchange) bool {
		in, ok := n.of(x.r)
		if !ok {
			return false
		}
		x.credentials, x.fresh, x.gate, x.security = op.Credentials, op.Fresh, &a.Gate, op.Security
		if err := a.Gate.Allow(x, op.Security); err != nil {
			x.fail(err)
			return true
		}
		out, err := handle(x.Context(), in)
		if err != nil {
			x.fail(err)
			return true
		}
		e, _ := any(out).(*Encoded)
		x.answer(e, op.Status)
		return true
	}
}

// route is an operation whose path has no parameters.
type route struct {
	pattern string
	answer  quick
}

// quickRoute finds an operation without the router, which is asked about all other requests.
func (a *API) quickRoute(r *http.Request) (route, bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.RawPath != "" {
		return route{}, false
	}
	found, ok := a.exact[r.URL.Path]
	return found, ok
}

// adapter puts the library's operations on the router.
type adapter struct{ *API }

// Handle implements huma.Adapter.
func (a adapter) Handle(op *huma.Operation, handle func(huma.Context)) {
	answer := a.quick[op.OperationID]
	a.mux.HandleFunc(op.Method+" "+op.Path, func(w http.ResponseWriter, r *http.Request) {
		if answer == nil || !answer(w.(*Exchange)) {
			handle(humago.NewContext(op, r, w))
		}
	})
}

// ServeHTTP implements huma.Adapter.
func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Package fakehub provides a fake of JupyterHub's REST API for tests, benchmarks and serve --demo. It lists users and
// groups, with paging, scopes and errors. Its behavior was observed on JupyterHub 4.1.6, 5.5.1 and 6.1.1.
package fakehub

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// Version is the version that the hub reports.
const Version = "5.5.1"

// pagination is the media type for paging. JupyterHub compares it with the whole Accept header.
const pagination = "application/jupyterhub-pagination+json"

// User is a user of the hub.
type User struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
	// LastActivity is zero for a user who has never been active.
	LastActivity time.Time `json:"last_activity"`
	// Created is zero for a user whose creation isn't recorded.
	Created time.Time `json:"created"`
	// Servers maps the names of active servers to whether they are ready.
	Servers map[string]bool `json:"servers"`
	// StoppedServers are the names of servers that aren't active.
	StoppedServers []string `json:"stopped_servers"`
}

// Hub is a fake hub. The zero value has no users, groups or tokens. It is safe for concurrent use.
type Hub struct {
	// BaseURL is the base path of the hub. It starts with a slash, and is "/" if empty.
	BaseURL string
	// DefaultLimit and MaxLimit are the page sizes, 50 and 200 if 0.
	DefaultLimit, MaxLimit int
	// Intercept is called first for each request, if it isn't nil. It reports whether it has responded. Tests use it to
	// simulate failures.
	Intercept func(w http.ResponseWriter, r *http.Request) bool

	mu     sync.Mutex
	users  []User // in order of creation, as a hub lists them
	groups []string
	known  map[string]bool // the same groups
	// properties are the properties of groups, by group.
	properties map[string]map[string]any
	scopes     map[string][]string // by token
}

// SetUsers replaces all users, in the order of their creation.
func (h *Hub) SetUsers(users ...User) { h.Update(func([]User) []User { return users }) }

// Update replaces the users with the result of change. It creates the groups that they are in.
func (h *Hub) Update(change func([]User) []User) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users = change(h.users)
	for _, u := range h.users {
		h.addGroups(u.Groups)
	}
}

// AddGroups creates groups without members.
func (h *Hub) AddGroups(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addGroups(names)
}

func (h *Hub) addGroups(names []string) {
	if h.known == nil {
		h.known = map[string]bool{}
	}
	for _, name := range names {
		if !h.known[name] {
			h.known[name] = true
			h.groups = append(h.groups, name)
		}
	}
}

// SetProperties replaces the properties of a group.
func (h *Hub) SetProperties(group string, properties map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.properties == nil {
		h.properties = map[string]map[string]any{}
	}
	h.properties[group] = properties
}

// Grant creates a token with scopes, or replaces the scopes of a token.
func (h *Hub) Grant(token string, held ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.scopes == nil {
		h.scopes = map[string][]string{}
	}
	h.scopes[token] = scopes.Expand(held)
}

// Revoke deletes a token.
func (h *Hub) Revoke(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.scopes, token)
}

// may reports whether the scopes contain a scope without a filter, or with a filter that matches.
func may(held []string, scope string, matches func(filter string) bool) bool {
	return slices.ContainsFunc(held, func(s string) bool {
		base, filter, filtered := strings.Cut(s, "!")
		return base == scope && (!filtered || matches(filter))
	})
}

func anything(string) bool { return true }

func (u User) matches(filter string) bool {
	if name, ok := strings.CutPrefix(filter, "group="); ok {
		return slices.Contains(u.Groups, name)
	}
	return filter == "user="+u.Name
}

// RoundTrip serves a request without a network. It never returns an error.
func (h *Hub) RoundTrip(r *http.Request) (*http.Response, error) {
	response := recorder{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(&response, r)
	return &http.Response{
		Status: http.StatusText(response.status), StatusCode: response.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: response.header, Body: io.NopCloser(&response.body), ContentLength: int64(response.body.Len()), Request: r,
	}, nil
}

// recorder is a ResponseWriter that records the response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// ServeHTTP serves the REST API.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-JupyterHub-Version", Version)
	if h.Intercept != nil && h.Intercept(w, r) {
		return
	}
	base := strings.TrimSuffix(h.BaseURL, "/") + "/"
	path, ok := strings.CutPrefix(r.URL.Path, base+"hub/api/")
	if !ok {
		if strings.HasPrefix(r.URL.Path, base+"hub/") {
			notFound(w)
			return
		}
		http.Redirect(w, r, base+"hub"+r.URL.Path, http.StatusFound) //nolint:gosec // like JupyterHub
		return
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if path == "" {
		writeJSON(w, "application/json", map[string]string{"version": Version})
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "token ")
	token, _ = strings.CutPrefix(token, "Bearer ")
	held, known := h.scopes[token]
	switch {
	case path != "user" && path != "users" && path != "groups":
		notFound(w)
	case r.Method != http.MethodGet:
		writeError(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	case !known:
		writeError(w, http.StatusForbidden, "Missing or invalid credentials.")
	case path == "user":
		writeJSON(w, "application/json", map[string]any{"kind": "service", "name": "groups-exporter", "admin": false, "scopes": held})
	case !may(held, "list:"+path, anything):
		writeError(w, http.StatusForbidden, "Action is not authorized with current scopes; requires any of [list:"+path+"]")
	case path == "users":
		h.list(w, r, h.userModels(held, r.URL.Query().Has("include_stopped_servers")))
	default:
		h.list(w, r, h.groupModels(held))
	}
}

// models is a list of users or groups. A nil model is omitted, but still counts for paging.
type models struct {
	length int
	model  func(i int) any
}

func (h *Hub) userModels(held []string, stopped bool) models {
	users := h.users
	if !slices.Contains(held, scopes.ListUsers) {
		users = slices.DeleteFunc(slices.Clone(users), func(u User) bool { return !may(held, scopes.ListUsers, u.matches) })
	}
	return models{len(users), func(i int) any {
		u := users[i]
		model := map[string]any{"kind": "user", "name": u.Name, "admin": false}
		if may(held, scopes.ReadUserGroups, u.matches) {
			model["groups"] = append([]string{}, u.Groups...)
		}
		if may(held, scopes.ReadUserActivity, u.matches) {
			model["last_activity"] = timestamp(u.LastActivity)
		}
		if may(held, scopes.ReadUsers, u.matches) {
			model["created"] = timestamp(u.Created)
		}
		if may(held, scopes.ReadServers, u.matches) {
			servers := map[string]any{}
			for name, ready := range u.Servers {
				servers[name] = map[string]any{"name": name, "ready": ready, "stopped": false}
			}
			for _, name := range u.StoppedServers {
				if stopped {
					servers[name] = map[string]any{"name": name, "ready": false, "stopped": true}
				}
			}
			model["servers"] = servers
		}
		return model
	}}
}

// timestamp returns a time as a hub writes it, or nil for the zero time.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

func (h *Hub) groupModels(held []string) models {
	return models{len(h.groups), func(i int) any {
		name := h.groups[i]
		isName := func(filter string) bool { return filter == "group="+name }
		if !may(held, scopes.ListGroups, isName) {
			return nil
		}
		model := map[string]any{"kind": "group", "name": name}
		if may(held, scopes.ReadGroups, isName) {
			members := []string{}
			for _, u := range h.users {
				if slices.Contains(u.Groups, name) {
					members = append(members, u.Name)
				}
			}
			properties := h.properties[name]
			if properties == nil {
				properties = map[string]any{}
			}
			model["users"], model["properties"] = members, properties
		}
		return model
	}}
}

// list serves one page. Without the exact media type for paging, it serves a bare list, up to the maximum limit.
func (h *Hub) list(w http.ResponseWriter, r *http.Request, all models) {
	maxLimit := cmp.Or(h.MaxLimit, 200)
	offset, limit := 0, cmp.Or(h.DefaultLimit, 50)
	paged := r.Header.Get("Accept") == pagination
	if !paged {
		limit = maxLimit
	}
	for name, value := range map[string]*int{"offset": &offset, "limit": &limit} {
		if text := r.URL.Query().Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				writeError(w, http.StatusBadRequest, "Invalid argument type, offset and limit must be integers")
				return
			}
			*value = max(n, -n)
		}
	}
	limit = min(max(limit, 1), maxLimit)
	items := []any{}
	for i := offset; i < min(offset+limit, all.length); i++ {
		if model := all.model(i); model != nil {
			items = append(items, model)
		}
	}
	if !paged {
		writeJSON(w, "application/json", items)
		return
	}
	var next any
	if offset+limit < all.length {
		// Like JupyterHub, the URL uses the Host header of the request.
		query := url.Values{"offset": {strconv.Itoa(offset + limit)}, "limit": {strconv.Itoa(limit)}}
		next = map[string]any{"offset": offset + limit, "limit": limit, "url": "http://" + r.Host + r.URL.Path + "?" + query.Encode()}
	}
	writeJSON(w, pagination, map[string]any{
		"items":       items,
		"_pagination": map[string]any{"offset": offset, "limit": limit, "total": all.length, "next": next},
	})
}

func writeJSON(w http.ResponseWriter, contentType string, value any) {
	w.Header().Set("Content-Type", contentType)
	_ = json.NewEncoder(w).Encode(value)
}

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "message": message})
}

func notFound(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintln(w, "<!DOCTYPE HTML><html><title>JupyterHub</title><h1>404 : Not Found</h1></html>")
}

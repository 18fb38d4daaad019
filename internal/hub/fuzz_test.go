package hub_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// Whatever a hub answers, to begin with and later, is a listing or an *remote.Error, in a
// bounded number of requests, and its names are bounded too.
func FuzzUsers(f *testing.F) {
	for _, seed := range []string{
		`{"items":[{"name":"ada","groups":["bio"]}],"_pagination":{"limit":200,"total":1,"next":null}}`,
		`{"items":[{"name":"ada","groups":["bio"],"last_activity":"2026-05-01T12:00:00.000000Z","servers":{"":{"ready":true}}}],"_pagination":{"offset":0,"limit":200,"total":1,"next":null}}`,
		`{"items":[],"_pagination":{"limit":200,"total":9,"next":{"offset":1,"limit":1}}}`,
		`{"items":[{"name":"ada","groups":["ada"],"users":["ada"]}],"_pagination":{"limit":200,"total":1,"next":null}}`,
		`{"items":[{"name":"ada","groups":[],"users":["bob",""]}],"_pagination":{"limit":200,"total":1,"next":null}}`,
		`{"items":[{"name":"ada","groups":[],"users":null}],"_pagination":{"limit":200,"total":1,"next":null}}`,
		`{"_pagination":{"limit":200,"total":-1,"next":null},"items":[{"groups":[],"name":"x","name":"y"}]}`,
		`[]`, `{}`, `null`, `"x"`, `{"items":null}`, `{"items":[{"name":5}]}`, `{"items":[{"name":"a","groups":null}]}`, `<html>`, "", "\xff", `{"items":[{"name":"\ud800","groups":["\u0000"]}],"_pagination":{"limit":200,"total":1}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			c := client(t, "http://hub.test", func(o *hub.Options) {
				o.Transport = inMemory{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests++
					w.Header().Set("Content-Type", "application/json")
					if r.URL.Path == "/hub/api/user" {
						fmt.Fprint(w, `{"scopes":["list:users","read:users:groups","list:groups"]}`)
						return
					}
					fmt.Fprint(w, body)
				})}
			})
			for range 2 {
				result, err := c.List(t.Context())
				if err != nil {
					if !errors.As(err, new(*remote.Error)) || result.Listing != nil {
						t.Errorf("error %v, listing %v", err, result.Listing)
					}
					continue
				}
				for row := range membership.New("n", result.Listing, membership.Rules{}).Rows() {
					if row.User == "" || len(row.User) > 4<<10 || len(row.Group) > 4<<10 || !utf8.ValidString(row.User) || !utf8.ValidString(row.Group) {
						t.Errorf("row %+v", row)
					}
				}
			}
			if requests > 40 {
				t.Errorf("%d requests", requests)
			}
		})
	})
}

// Whatever a hub says about when to come back, we wait a while, and not for ever.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "1", "50", "120", "-1", "1e9", "99999999999999999999", " 5", "Sat, 01 Jan 2000 00:00:30 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Saturday, 01-Jan-00 00:00:30 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			_, err := client(t, "http://hub.test", func(o *hub.Options) {
				o.Transport = inMemory{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header()["Retry-After"] = []string{header}
					w.WriteHeader(http.StatusTooManyRequests)
				})}
			}).List(t.Context())
			if failed, ok := errors.AsType[*remote.Error](err); !ok || failed.Reason != remote.Status || failed.RetryAfter < 0 {
				t.Errorf("got error %v, want one with a status", err)
			}
			if took := time.Since(begin); took > 4*time.Minute {
				t.Errorf("took %v", took)
			}
		})
	})
}

//go:build !race

// The race detector takes memory of its own.

package hub_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// answer makes the body of an answer to a request.
type answer func(r *http.Request) io.Reader

// one is an answer in which something is repeated until that has a size.
func one(before, unit, after string, size int) answer {
	return func(*http.Request) io.Reader {
		return io.MultiReader(strings.NewReader(before), repeated(unit, size), strings.NewReader(after))
	}
}

// many is a page of 200 items, in each of which something is repeated for 80 KiB.
func many(before, unit, after string) answer {
	return func(*http.Request) io.Reader {
		parts := []io.Reader{strings.NewReader(`{"items":[`)}
		for i := range 200 {
			if i > 0 {
				parts = append(parts, strings.NewReader(","))
			}
			parts = append(parts, strings.NewReader(before), repeated(unit, 80<<10), strings.NewReader(after))
		}
		return io.MultiReader(append(parts, strings.NewReader(end))...)
	}
}

// endless is one page of a list that doesn't end, of items made of their numbers.
func endless(item string) answer {
	return func(r *http.Request) io.Reader {
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		var items strings.Builder
		for i := range 200 {
			fmt.Fprintf(&items, item+",", offset+i)
		}
		return strings.NewReader(fmt.Sprintf(`{"items":[%s],"_pagination":{"limit":200,"total":9999999,"next":{"offset":%d}}}`, strings.TrimSuffix(items.String(), ","), offset+200))
	}
}

// repeated is a text that is repeated until it has a size.
func repeated(unit string, size int) io.Reader {
	block := strings.Repeat(unit, 1+1<<14/len(unit))
	var parts []io.Reader
	for range size / len(block) {
		parts = append(parts, strings.NewReader(block))
	}
	return io.MultiReader(parts...)
}

const (
	begin = `{"items":[`
	end   = `],"_pagination":{"offset":0,"limit":200,"total":1,"next":null}}`
	user  = `{"name":"ada","groups":[],`
)

// Whatever is huge in an answer of a hub, reading it takes little memory: the chart's limit of 256 MiB is
// room for the rest of the program too.
func TestMemoryOfAnAnswer(t *testing.T) {
	for _, c := range []struct{ path, what, before, unit, after string }{
		{"/users", "a name", begin + `{"groups":[],"name":"`, "x", `"}` + end},
		{"/users", "no groups", begin + `{"name":"ada","groups":[""`, `,""`, `]}` + end},
		{"/users", "a group", begin + `{"name":"ada","groups":["`, "x", `"]}` + end},
		{"/users", "the same key", begin + user, `"groups":["a","b"],`, `"name":"x"}` + end},
		{"/users", "a last activity", begin + user + `"last_activity":"`, "x", `"}` + end},
		{"/users", "servers", begin + user + `"servers":{"":{}`, `,"a":{"ready":true}`, `}}` + end},
		{"/users", "a server", begin + user + `"servers":{"`, `x`, `":{}}}` + end},
		{"/users", "a number", begin + user + `"servers":1`, "0", `}` + end},
		{"/users", "what isn't read", begin + user + `"auth_state":[{}`, ",{}", `]}` + end},
		{"/users", "a key that isn't read", begin + user + `"`, "x", `":1}` + end},
		{"/users", "lists in lists", begin + user + `"auth_state":`, "[", ""},
		{"/users", "users", begin + `{}`, `,{}`, end},
		{"/users", "white space before a user", begin, " ", end},
		{"/users", "white space in a user", begin + "{", " ", "}" + end},
		{"/users", "white space behind the page", begin + end, " ", ""},
		{"/users", "the total", begin + `],"_pagination":{"limit":200,"total":1`, "0", `}}`},
		{"/users", "the next page", begin + `],"_pagination":{"limit":200,"total":1,"next":[1`, ",1", `]}}`},
		{"/users", "another key", `{"else":"`, "x", `"}`},
		{"/users", "a name of another key", `{"`, "x", `":1}`},
		{"/users", "a bare list", `[""`, `,""`, `]`},
		{"/groups", "a name", begin + `{"name":"`, "x", `"}` + end},
		{"/groups", "members", begin + `{"name":"g","users":[""`, `,""`, `]}` + end},
		{"/groups", "a property", begin + `{"name":"g","properties":{"code":"`, "x", `"}}` + end},
		{"/groups", "properties", begin + `{"name":"g","properties":{"code":0`, `,"a":0`, `}}` + end},
		{"/groups", "what groups don't have", begin + `{"name":"g","groups":[""`, `,""`, `]}` + end},
		{"/user", "scopes", `{"scopes":[""`, `,""`, `]}`},
		{"/user", "a scope", `{"scopes":["`, "x", `"]}`},
		{"/user", "a name", `{"name":"`, "x", `"}`},
		{"/user", "a kind", `{"kind":"`, "x", `"}`},
		{"/user", "another key", `{"else":"`, "x", `"}`},
		{"/user", "white space", ``, " ", `{}`},
		{"/api/", "a version", `{"version":"`, "x", `"}`},
	} {
		// More than anybody needs, and as much as is allowed.
		allowed, most := 1000<<10, int64(48<<20)
		if c.path == "/groups" {
			allowed, most = 8000<<10, 96<<20
		}
		for _, size := range []int{64 << 20, allowed} {
			if took := memoryOf(t, c.path, one(c.before, c.unit, c.after, size)); took > most {
				t.Errorf("%s, %s of %d KiB: it takes %d MiB, want %d at most", c.path, c.what, size>>10, took>>20, most>>20)
			}
		}
	}
}

func TestMemoryOfAList(t *testing.T) {
	const large, list = 96 << 20, 160 << 20
	for _, c := range []struct {
		path, what string
		answer     answer
		most       int64
	}{
		{"/users", "no groups of many users", many(`{"name":"ada","groups":[""`, `,""`, `]}`), large},
		{"/users", "groups of many users", many(`{"name":"ada","groups":["a group"`, `,"a group"`, `]}`), large},
		{"/users", "servers of many users", many(user+`"servers":{"":{}`, `,"a":{}`, `}}`), large},
		{"/users", "a list without an end", endless(`{"name":"%d","groups":[]}`), list},
		{"/users", "long names without an end", endless(`{"name":"%d` + strings.Repeat("x", 4000) + `","groups":[]}`), list},
		{"/users", "groups without an end", endless(`{"name":"%d","groups":["a"` + strings.Repeat(`,"a"`, 900) + `]}`), list},
		{"/groups", "members of many groups", many(`{"name":"g","users":[""`, `,""`, `]}`), large},
		{"/groups", "properties of many groups", many(`{"name":"g","properties":{"code":"`, "x", `"}}`), large},
		{"/groups", "properties without an end", endless(`{"name":"%d","properties":{"code":"` + strings.Repeat("x", 4000) + `"}}`), list},
		{"/groups", "a list without an end", endless(`{"name":"%d"}`), list},
	} {
		if took := memoryOf(t, c.path, c.answer); took > c.most {
			t.Errorf("%s, %s: it takes %d MiB, want %d at most", c.path, c.what, took>>20, c.most>>20)
		}
	}
}

// memoryOf is how much memory it takes to read everything of a hub with one answer for a path.
func memoryOf(t *testing.T, path string, answer answer) int64 {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // as the program does
	fake := newHub(people(3)...)
	fake.Grant(token, "users", "groups", "read:servers")
	asked := false
	c := client(t, "http://hub.test", func(o *hub.Options) {
		o.Properties = func() []string { return []string{"code"} }
		o.Timeout, o.Transport = time.Minute, roundTrip(func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, path) {
				return inMemory{fake}.RoundTrip(r)
			}
			asked = true
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(answer(r))}, nil
		})
	})
	took := peakOf(func() {
		result, _ := c.List(t.Context())
		_, _ = c.Inspect(t.Context())
		_, _, _ = c.ScopesOf(t.Context(), hub.NewToken(token))
		runtime.KeepAlive(result)
	})
	if !asked {
		t.Errorf("%s was not asked for", path)
	}
	return took
}

// peakOf is how much more memory a function takes at most, in bytes, than there was before it.
func peakOf(do func()) int64 {
	debug.FreeOSMemory()
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	now := func() int64 {
		metrics.Read(samples)
		return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
	}
	before := now()
	var most atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			most.Store(max(most.Load(), now()-before))
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	do()
	close(stop)
	<-stopped
	return most.Load()
}

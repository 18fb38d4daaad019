package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

const (
	// pageLimit is the most items that a hub returns on a page, unless its api_page_max_limit is changed.
	pageLimit = 200
	// maxPage is the most memory of a page's items, in bytes: 20 times that of 200 users in 50 groups.
	maxPage  = 16 << 20
	maxName  = 4 << 10         // bytes of a user's or a group's name; hubs have room for 255 characters
	maxPause = 5 * time.Second // between two pages
)

// item is a user or a group in a list. For a group, only the name and the properties are read.
type item struct {
	Name         string              `json:"name"`
	Groups       optional[[]string]  `json:"groups"`
	LastActivity optional[time.Time] `json:"last_activity"`
	Created      optional[time.Time] `json:"created"`
	Servers      optional[servers]   `json:"servers"`
	Properties   json.RawMessage     `json:"properties"` // nil if the token may not read them
}

// checkUser returns what is wrong with an item that is a user.
func (i item) checkUser() *remote.Error {
	switch {
	case i.Name == "":
		return remote.Malformed("a user without a name")
	case !i.Groups.present:
		return &remote.Error{Reason: remote.Scope, Problem: "the hub token is missing the scope " + scopes.ReadUserGroups}
	case i.Groups.value == nil:
		return remote.Malformed("null as the groups of a user")
	default:
		return nil
	}
}

// size returns the approximate memory of an item and the length of its longest name, both in bytes.
func (i item) size() (size, longest int) {
	size, longest = 200+len(i.Name)+len(i.Properties), len(i.Name)
	for _, names := range [][]string{i.Groups.value, i.Servers.value.named} {
		for _, name := range names {
			size, longest = size+16+len(name), max(longest, len(name))
		}
	}
	return size, longest
}

// servers is how many servers of a user are ready, how many are active, which start or stop too, and the names of the
// named servers.
type servers struct {
	ready, active int
	named         []string
}

func (s *servers) UnmarshalJSON(data []byte) error {
	var all map[string]struct {
		Ready   bool `json:"ready"`
		Stopped bool `json:"stopped"`
	}
	err := json.Unmarshal(data, &all)
	for name, server := range all {
		if server.Ready {
			s.ready++
		}
		if !server.Stopped {
			s.active++
		}
		if name != "" {
			s.named = append(s.named, name)
		}
	}
	slices.Sort(s.named)
	return err
}

// optional distinguishes a key that is missing, because the token may not read it, from null.
type optional[T any] struct {
	value   T
	present bool
}

func (o *optional[T]) UnmarshalJSON(data []byte) error {
	if len(data) > maxText { // of a group, of which more is read at once
		return remote.Oversized("a part of it is over %d MiB", maxText>>20)
	}
	o.present = true
	return json.Unmarshal(data, &o.value)
}

// page is one page of a list: some of its rows, from offset on.
type page struct {
	offset     int
	Items      []item // nil if the answer has none
	Pagination struct {
		Limit int // 0 if the answer has no pages
		Total int
		Next  *struct{ Offset int }
	}
}

// decode reads a page item by item, so that its text is never in memory as a whole.
func (p *page) decode(d *remote.Decoder) error {
	*p = page{offset: p.offset} // it may be a retry
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return cmp.Or(err, error(remote.Malformed("no pages in it")))
	}
	for d.More() {
		key, err := d.Token()
		switch {
		case err != nil:
		case key == "items":
			err = p.decodeItems(d)
		case key == "_pagination":
			err = d.Decode(&p.Pagination)
		default:
			err = d.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if p.Items == nil || p.Pagination.Limit < 1 {
		return remote.Malformed("no pages in it")
	}
	total, next := p.Pagination.Total, p.Pagination.Next
	if next != nil && (next.Offset <= p.offset || next.Offset >= total) {
		return remote.Malformed("the page at offset %d of %d is followed by one at %d", p.offset, total, next.Offset)
	}
	return nil
}

func (p *page) decodeItems(d *remote.Decoder) error {
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return cmp.Or(err, error(remote.Malformed("no list as its items")))
	}
	p.Items = make([]item, 0, pageLimit)
	for total := 0; d.More(); {
		if len(p.Items) == pageLimit {
			return remote.Oversized("a page of it has more than %d items", pageLimit)
		}
		var i item
		if err := d.Decode(&i); err != nil {
			return err
		}
		size, longest := i.size()
		switch total += size; {
		case longest > maxName:
			return remote.Oversized("a name in it is over %d KiB", maxName>>10)
		case total > maxPage:
			return remote.Oversized("a page of it takes more than %d MiB", maxPage>>20)
		}
		p.Items = append(p.Items, i)
	}
	_, err := d.Token()
	return err
}

// rows returns how many rows of the list the page covers, 0 for the last page. The token may not be
// allowed to see all of them.
func (p *page) rows() int {
	if p.Pagination.Next == nil {
		return 0
	}
	return p.Pagination.Next.Offset - p.offset
}

// readPage reads one page of a list.
func (c *Client) readPage(ctx context.Context, path string, offset, limit int) (page, error) {
	p := page{offset: offset}
	query := url.Values{"offset": {strconv.Itoa(offset)}, "limit": {strconv.Itoa(limit)}}
	if path == "users" && c.o.StoppedServers {
		query.Set("include_stopped_servers", "true") // hubs before 3.0 ignore it
	}
	err := c.get(ctx, path, query, p.decode)
	return p, err
}

// sweep reads a list, one page after another, and passes its items to add, in order. It reports whether
// the list is whole.
//
// A hub lists items in the order of their creation, and an offset counts rows. When an item is deleted, all
// later rows move up, and one of them can fall between two pages. So each page begins with the last row
// of the previous page. If it doesn't, it is requested again with more rows of that page. So an item that
// stays in the list is never missed.
//
// Requests go to the client's own address, and not to next.url. A hub builds that URL from whatever host
// the request named, and the token must not be sent there.
func (c *Client) sweep(ctx context.Context, path string, add func([]item) error) (bool, error) {
	whole := true
	var last page // has been read, but not added yet
	for offset, overlap := 0, 1; ; {
		start := time.Now()
		p, err := c.readPage(ctx, path, offset, pageLimit)
		if err != nil {
			return false, err
		}
		most := last.rows() / 2 // so that a page has as many new rows
		known := slices.IndexFunc(last.Items, func(i item) bool { return len(p.Items) > 0 && i.Name == p.Items[0].Name })
		if known < 0 && overlap < most {
			overlap *= 10
		} else {
			if known < 0 {
				// Without rows to compare, only a total that changes shows that something was deleted.
				invisible := most == 0 || len(last.Items) < last.rows()
				whole = whole && (offset == 0 || invisible && p.Pagination.Total == last.Pagination.Total)
				known = len(last.Items)
			}
			if err := add(last.Items[:known]); err != nil {
				return false, err
			}
			if last = p; last.rows() == 0 {
				return whole, add(last.Items)
			}
		}
		offset = last.offset + last.rows() - min(overlap, last.rows()/2)
		if c.o.Interval > 0 { // uses at most half of the hub's time
			if err := sleep(ctx, min(time.Since(start), maxPause)); err != nil {
				return false, err
			}
		}
	}
}

package history

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// run is a time range in which a user's groups stayed the same.
type run struct {
	window
	groups []string // sorted; never changed, so that runs may share them
}

// timeline holds the memberships of a hub in a window.
type timeline struct {
	window window
	// known lists the windows in which memberships are known: from each scrape to the next one, but no longer than the
	// lookback.
	known []window
	// users maps users to their runs, sorted by time. A run applies only where memberships are known.
	users map[string][]run
	// new has the users who had no memberships before this window.
	new map[string]bool
	// gaps lists the windows without scrapes.
	gaps []window
}

// newUserDelay is how long it may take until the memberships of a new user are recorded: the exporter has to poll the
// hub and to be scraped. The first memberships also apply to this time before them.
const newUserDelay = 15 * time.Minute

// at returns the groups of a user at a time. It returns false if memberships aren't known then, or the user had none.
func (t *timeline) at(user string, when int64) (groups []string, ok bool) {
	if !contains(t.known, when) {
		return nil, false
	}
	for i, r := range t.users[user] {
		before := int64(0)
		if i == 0 && t.new[user] {
			before = newUserDelay.Milliseconds()
		}
		if r.from-before <= when && when < r.to {
			return r.groups, true
		}
	}
	return nil, false
}

// throughout returns the groups of a user, and whether they are known and stayed the same in the whole window.
func (t *timeline) throughout(user string) (groups []string, ok bool) {
	runs := t.users[user]
	if len(runs) != 1 || len(t.known) != 1 || t.known[0].from > t.window.from || t.known[0].to < t.window.to ||
		runs[0].from > t.window.from || runs[0].to < t.window.to {
		return nil, false
	}
	return runs[0].groups, true
}

// contains reports whether a time is in one of the windows, which are sorted by time.
func contains(windows []window, when int64) bool {
	i := sort.Search(len(windows), func(i int) bool { return windows[i].to > when })
	return i < len(windows) && windows[i].from <= when
}

// hub reads the memberships of one hub, one window after another.
type hub struct {
	*querier
	namespace      string
	queries        promql.Queries // of the namespace
	none, multiple string         // the pseudo-groups
	lookback       time.Duration
	maxSamples     int // up to which a window isn't split

	// The state at the last scrape so far.
	last  int64 // when it was, 0 if there was none
	state map[string][]string
	// seen has the users who have had memberships so far.
	seen map[string]bool
}

// read returns the memberships in a window. The window has to begin where the previous one ended.
func (h *hub) read(ctx context.Context, w window) (*timeline, error) {
	c, err := h.count(ctx, w.atLeastAnHour())
	if err != nil {
		return nil, err
	}
	interval := cmp.Or(c.interval, time.Minute) // there may be a single sample
	if w.length() < time.Hour {
		if c, err = h.count(ctx, w); err != nil {
			return nil, err
		}
	}
	segments, err := h.segments(ctx, c, w, interval)
	if err != nil {
		return nil, err
	}
	t := &timeline{window: w, users: map[string][]run{}, new: map[string]bool{}}
	t.known, t.gaps = h.scraped(w, segments, interval)
	since := map[string]int64{} // since when each user has had the groups in h.state
	for user := range h.state {
		since[user] = w.from
	}
	set := func(user string, groups []string, when int64) {
		before, was := h.state[user]
		if was && groups != nil && slices.Equal(before, groups) || !was && groups == nil {
			return
		}
		if was && since[user] < when {
			t.users[user] = append(t.users[user], run{window{since[user], when}, before})
		}
		delete(h.state, user)
		if groups != nil {
			h.state[user], since[user] = groups, when
			t.new[user] = t.new[user] || !h.seen[user]
			h.seen[user] = true
		}
	}
	for _, s := range segments {
		h.apply(s, set, interval)
	}
	for user, groups := range h.state {
		t.users[user] = append(t.users[user], run{window{since[user], w.to}, groups})
	}
	return t, nil
}

// scraped returns the windows in which memberships are known, and those without scrapes.
func (h *hub) scraped(w window, segments []*segment, interval time.Duration) (known, gaps []window) {
	usual := max(interval, time.Second).Milliseconds()
	carry := max(h.lookback.Milliseconds(), 2*usual)
	note := func(last, next int64) {
		end := w.from // when the last scrape ceases to count
		if last != 0 {
			end = min(next, last+carry)
			known = appendWindow(known, window{max(last, w.from), end})
		}
		if next < w.to { // after a gap, other targets may have been scraped before the exporter
			known = appendWindow(known, window{max(next-usual, end, w.from), next})
		}
		from := max(w.from, last+usual)
		if last == 0 {
			from = w.from
		}
		if next-from > usual/2 {
			gaps = append(gaps, window{from, min(next, w.to)})
		}
	}
	for _, s := range segments {
		for _, scrape := range s.times() {
			note(h.last, scrape)
			h.last = scrape
		}
	}
	note(h.last, w.to)
	return known, gaps
}

// appendWindow appends a window that doesn't begin before the last one, and merges the two if they touch.
func appendWindow(windows []window, next window) []window {
	if next.to <= next.from {
		return windows
	}
	if n := len(windows); n > 0 && windows[n-1].to >= next.from {
		windows[n-1].to = max(windows[n-1].to, next.to)
		return windows
	}
	return append(windows, next)
}

// apply calls set for each user whose groups may have changed, scrape by scrape. The groups of a user without
// memberships are nil.
func (h *hub) apply(s *segment, set func(user string, groups []string, when int64), interval time.Duration) {
	scrapes := s.times()
	for i, scrape := range scrapes {
		if i == 0 {
			for user := range maps.Clone(h.state) {
				if s.changing[user] == nil {
					set(user, s.constant[user], scrape)
				}
			}
			for user, groups := range s.constant {
				set(user, groups, scrape)
			}
		}
		sources := s.sources(scrape, interval)
		for user, memberships := range s.changing {
			var now []string
			for one, times := range memberships {
				needed := sources[one.exporter]
				lacks := func(when int64) bool { _, found := slices.BinarySearch(times, when); return !found }
				if len(needed) == 0 || len(needed) > 1 && one.group == h.multiple { // the groups behind it may have changed
					continue
				}
				if !slices.ContainsFunc(needed, lacks) {
					now = append(now, one.group)
				}
			}
			set(user, h.withoutPseudo(now), scrape)
		}
	}
}

// withoutPseudo returns a user's groups without the pseudo-groups. If multiple is the only group, it stays. If there are
// no memberships at all, withoutPseudo returns nil.
func (h *hub) withoutPseudo(usergroups []string) []string {
	if len(usergroups) == 0 {
		return nil
	}
	groups := make([]string, 0, len(usergroups))
	for _, group := range usergroups {
		if group != h.none {
			groups = append(groups, group)
		}
	}
	if len(groups) > 1 {
		groups = slices.DeleteFunc(groups, func(group string) bool { return group == h.multiple })
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

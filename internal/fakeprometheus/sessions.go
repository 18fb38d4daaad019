package fakeprometheus

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

const gib = 1 << 30

// session is a server that ran. Its usage is constant.
type session struct {
	user                  string
	from, to              time.Time
	memory, memoryRequest float64 // bytes
	cpu, cpuRequest       float64 // cores
	gpus                  float64
}

func (s *session) pod() string { return slug.PodName(slug.Safe(s.user)) }

func (s *session) uid() string { return s.pod() + s.from.UTC().Format(time.DateOnly) }

func (s *Server) users() []string { return slices.Sorted(maps.Keys(s.memberships)) }

// seeded returns a random number generator whose numbers depend only on a text.
func seeded(text string) *rand.Rand {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(text))
	return rand.New(rand.NewPCG(hash.Sum64(), 2026))
}

// sessions returns the servers that ran at any time between two times. All sessions end before midnight UTC.
func (s *Server) sessions(from, to time.Time) []*session {
	var all []*session
	for day := from.UTC().Truncate(24 * time.Hour); day.Before(to); day = day.AddDate(0, 0, 1) {
		for _, one := range s.sessionsOf(day) {
			if one.from.Before(to) && one.to.After(from) {
				all = append(all, one)
			}
		}
	}
	return all
}

// sessionsOf returns the servers of a day. They are cached, because each query needs them.
func (s *Server) sessionsOf(day time.Time) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, known := s.days[day]
	if !known {
		for _, user := range s.users() {
			if one := sessionOf(user, day); one != nil {
				all = append(all, one)
			}
		}
		s.days[day] = all
	}
	return all
}

// sessionOf returns a user's server on a day, or nil. Some users work on most days and others rarely.
func sessionOf(user string, day time.Time) *session {
	habits := seeded(user)
	chance, size, hasGPU := habits.Float64(), 1+3*habits.Float64(), habits.Float64() < 0.1
	if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
		chance /= 5
	}
	today := seeded(user + day.Format(time.DateOnly))
	if today.Float64() > chance {
		return nil
	}
	from := day.Add(time.Duration(7*12+today.IntN(9*12)) * interval)
	one := &session{user: user, from: from, to: from.Add(time.Duration(4+today.IntN(7*12)) * interval)}
	one.memoryRequest, one.cpuRequest = 2*gib, 0.5
	if size > 2 {
		one.memoryRequest, one.cpuRequest = 4*gib, 1
	}
	one.memory, one.cpu = size*(0.5+today.Float64())*gib, size*today.Float64()/2
	if hasGPU && today.Float64() < 0.3 {
		one.gpus = 1
	}
	return one
}

// home returns the size of a user's home directory in bytes. It grows a little each day.
func home(user string, at time.Time) float64 {
	habits := seeded(user)
	since := at.Sub(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)).Hours() / 24
	return gib * (0.2 + 10*habits.Float64()*habits.Float64()) * (1 + since/2000)
}

// sums returns the sums of an expression over the points in a range, by pod or by directory.
func (s *Server) sums(expr string, at time.Time, length, step time.Duration) model.Vector {
	if strings.Contains(expr, promql.DirectorySize) {
		return s.sizes(expr, at, length, step)
	}
	var all model.Vector
	for _, one := range s.sessions(at.Add(-length), at) {
		from, to := later(one.from, at.Add(-length)), earlier(one.to, at)
		if value := points(from, to, step) * one.value(expr, step); value > 0 {
			all = append(all, s.sample(at, model.SampleValue(value), "pod", one.pod(), "uid", one.uid()))
		}
	}
	return all
}

// points returns the number of multiples of step between two times, including the second time but not the first.
func points(from, to time.Time, step time.Duration) float64 {
	return float64(to.UnixNano()/int64(step) - from.UnixNano()/int64(step))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// value returns the value of an expression at each point.
func (s *session) value(expr string, step time.Duration) float64 {
	requests := strings.Contains(expr, promql.ContainerRequests)
	memory, cpu := strings.Contains(expr, promql.ContainerMemory), strings.Contains(expr, promql.ContainerCPU)
	switch {
	case memory && requests:
		return max(s.memory, s.memoryRequest)
	case memory:
		return s.memory
	case cpu && requests:
		return max(s.cpu, s.cpuRequest)
	case cpu: // in seconds between two points
		return s.cpu * step.Seconds()
	case strings.Contains(expr, `resource="memory"`):
		return s.memoryRequest
	case strings.Contains(expr, `resource="cpu"`):
		return s.cpuRequest
	case strings.Contains(expr, "mig_"):
		return 0
	case requests:
		return s.gpus
	default:
		return 1 // a running server
	}
}

// sizes returns the sum of each directory's size over the points in a range, or the number of points. One directory
// belongs to no user.
func (s *Server) sizes(expr string, at time.Time, length, step time.Duration) model.Vector {
	count := points(at.Add(-length), at, step)
	if strings.HasPrefix(expr, "group by (namespace)") {
		return model.Vector{s.sample(at, model.SampleValue(count))}
	}
	var all model.Vector
	for _, user := range append(s.users(), "former-student") {
		size := home(user, at.Add(-length/2)) // the mean, as it grows evenly
		all = append(all, s.sample(at, model.SampleValue(count*size), promql.Directory, slug.Safe(user)))
	}
	return all
}

package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

// record is an object of JSON and YAML whose keys have an order.
type record []field

type field struct {
	name  string
	value any // a string, bool, json.Number or record, a slice of these, or nil
}

// MarshalJSON writes the fields in their order.
func (r record) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	text.WriteByte('{')
	for i, f := range r {
		if i > 0 {
			text.WriteByte(',')
		}
		if err := encoder.Encode(f.name); err != nil {
			return nil, err
		}
		text.WriteByte(':')
		if err := encoder.Encode(f.value); err != nil {
			return nil, err
		}
	}
	text.WriteByte('}')
	return text.Bytes(), nil
}

// reportRecord returns a report for programs, with everything needed to reproduce it.
func reportRecord(r *report.Report) record {
	flags, totals, rows := record{}, []any{}, []any{}
	var every any // null if there is one period
	if r.Every != "" {
		every = string(r.Every)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Flags)) {
		flags = append(flags, field{name, r.Flags[name]})
	}
	columns := r.Columns()
	for _, section := range r.Sections {
		for _, row := range section.Rows {
			rows = append(rows, rowRecord(columns, section, row))
		}
		totals = append(totals, rowRecord(columns, section, section.Total))
	}
	return record{
		{"version", r.Version},
		{"flags", flags},
		{"period_start", r.Period.From.Format(time.RFC3339)},
		{"period_end", r.Period.To.Format(time.RFC3339)},
		{"timezone", r.Zone()},
		{"every", every},
		{"namespaces", list(r.Namespaces)},
		{"by", list(words(r.Options.By))},
		{"attribution", string(r.Options.Attribution)},
		{"share_of", r.Options.ShareOf.String()},
		{"coverage", coverageRecords(r)},
		{"notes", list(r.Notes)},
		{"rows", rows},
		{"totals", totals},
		{"queries", list(r.Queries)},
	}
}

// rowRecord returns a row, or a total, which has no names.
func rowRecord(columns []*report.Column, section *report.Section, row *report.Row) record {
	var fields record
	for _, column := range columns {
		text := column.Exact(section, row)
		switch {
		case column.IsNumber() && text == "":
			fields = append(fields, field{column.Name, nil})
		case column.IsNumber():
			fields = append(fields, field{column.Name, json.Number(text)})
		case column.Kind == report.Metadata || row != section.Total:
			fields = append(fields, field{column.Name, text})
		}
	}
	return fields
}

func coverageRecords(r *report.Report) []any {
	records := []any{}
	at := func(t time.Time) string { return t.In(r.Period.From.Location()).Format(time.RFC3339) }
	for _, c := range r.Coverage {
		gaps := []any{}
		for _, gap := range c.Gaps {
			gaps = append(gaps, record{{"start", at(gap.Period.From)}, {"end", at(gap.Period.To)}, {"carried", gap.Carried}})
		}
		covered := json.Number(strconv.FormatFloat(math.Floor(c.Covered*1e6+1e-6)/1e6, 'f', -1, 64)) // rounded down, like Percent
		records = append(records, record{{"source", c.Source}, {"namespace", c.Namespace}, {"covered", covered}, {"gaps", gaps}})
	}
	return records
}

// list returns texts as the value of a field.
func list(texts []string) []any {
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	return values
}

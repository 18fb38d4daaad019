package main

import "github.com/groups-exporter/groups-exporter/internal/owner"

// parseTemplates returns the templates that a flag was given, or the defaults.
func parseTemplates(flag string, texts []string, defaults []owner.Template) ([]owner.Template, error) {
	if len(texts) == 0 {
		return defaults, nil
	}
	var templates []owner.Template
	for _, text := range texts {
		template, err := owner.ParseTemplate(text)
		if err != nil {
			return nil, usagef("--%s: %w", flag, err)
		}
		templates = append(templates, template)
	}
	return templates, nil
}

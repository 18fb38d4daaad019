package main

import (
	"cmp"

	"github.com/groups-exporter/groups-exporter/internal/owner"
)

// templateOptions are the flags for the templates of a hub.
type templateOptions struct{ pods, claims, directories []string }

// parse returns the templates that the flags were given, or the defaults.
func (o *templateOptions) parse() (templates owner.Templates, err error) {
	defaults := owner.DefaultTemplates()
	var errs [3]error
	templates.Pods, errs[0] = parseTemplates("pod-template", o.pods, defaults.Pods)
	templates.Claims, errs[1] = parseTemplates("claim-template", o.claims, defaults.Claims)
	templates.Directories, errs[2] = parseTemplates("directory-template", o.directories, defaults.Directories)
	return templates, cmp.Or(errs[:]...)
}

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

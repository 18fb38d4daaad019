package main

import (
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writeYAML writes a value. Its strings from outside are nodes of yamlText.
func writeYAML(w io.Writer, value any) error {
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(w, escapeInvisible(text.String(), yamlEscape))
	return err
}

// yamlText returns a text as a node that all parsers read in the same way. They disagree on
// which unquoted values are text, because of YAML's versions and of bugs.
func yamlText(text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if !isPlainYAML(text) {
		node.Style = yaml.DoubleQuotedStyle
	}
	return node
}

func yamlTexts(texts []string) []*yaml.Node {
	nodes := make([]*yaml.Node, len(texts))
	for i, text := range texts {
		nodes[i] = yamlText(text)
	}
	return nodes
}

// isPlainYAML reports whether a text is the same text without quotes in every YAML.
func isPlainYAML(text string) bool {
	switch strings.ToLower(text) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	for i, r := range text {
		isLetter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !isLetter && (i == 0 || !strings.ContainsRune("0123456789-_./@", r)) {
			return false
		}
	}
	return true
}

// yamlEscape returns a character of a quoted string as an escape, and the line breaks
// between strings as they are.
func yamlEscape(r rune) string {
	if r == '\n' {
		return "\n"
	}
	return goEscape(r)
}

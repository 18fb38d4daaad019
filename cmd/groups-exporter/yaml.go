package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writeYAML writes a value so that all parsers read the same. They disagree on which unquoted values are text, because
// of YAML's versions and of bugs.
func writeYAML(w io.Writer, value any) error {
	content, err := json.Marshal(value) // the YAML encoder can't encode every text by itself
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	node, err := yamlNode(decoder)
	if err != nil {
		return err
	}
	quoteYAML(node)
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return err
	}
	_, err = io.WriteString(w, escapeInvisible(text.String(), func(r rune) string {
		if r == '\n' { // between values
			return "\n"
		}
		return goEscape(r)
	}))
	return err
}

// yamlNode returns the next value of a JSON document, with keys in the same order.
func yamlNode(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{}
	switch token := token.(type) {
	case json.Delim:
		node.Kind = yaml.SequenceNode
		if token == '{' {
			node.Kind = yaml.MappingNode
		}
		for decoder.More() {
			child, err := yamlNode(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err = decoder.Token() // the end
	case string:
		node.SetString(token)
	case json.Number:
		node.Kind, node.Value = yaml.ScalarNode, token.String()
	default: // a truth value, or nothing
		err = node.Encode(token)
	}
	return node, err
}

// quoteYAML puts quotes around all texts in a node that a YAML parser might read as something else.
func quoteYAML(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!str" && !isPlainYAML(node.Value) {
		node.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range node.Content {
		quoteYAML(child)
	}
}

// isPlainYAML reports whether a text is the same text without quotes in every version of YAML.
func isPlainYAML(text string) bool {
	switch strings.ToLower(text) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	if strings.HasSuffix(text, ":") { // it would be a key
		return false
	}
	for i, r := range text {
		isLetter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !isLetter && (i == 0 || !strings.ContainsRune("0123456789-_./@:", r)) {
			return false
		}
	}
	return true
}

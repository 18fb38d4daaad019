//go:build linux

package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// pauseImage is the image of the container that holds a pod's network.
const pauseImage = "example.test/pause:1"

// importPause builds the image of the pause container. Its program waits for the end.
func (c *Cluster) importPause(ctx context.Context) error {
	const source = "package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(1<<63 - 1) }\n"
	if err := c.write("pause.go", source); err != nil {
		return err
	}
	if err := BuildImage(ctx, pauseImage, c.file("pause.go"), c.file("pause.tar")); err != nil {
		return err
	}
	return c.Import(ctx, c.file("pause.tar"))
}

// BuildImage compiles a Go package, or a file, into an archive of an image that contains nothing else. The program is
// /program, and the image's entry point.
func BuildImage(ctx context.Context, name, source, archive string) error {
	program := archive + ".program"
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if _, err := outputOf(build); err != nil {
		return err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	if err := writeTar(&layer, "program", content); err != nil {
		return err
	}
	type object = map[string]any
	digest := fmt.Sprintf("%x", sha256.Sum256(layer.Bytes()))
	config, err := json.Marshal(object{
		"architecture": "amd64", "os": "linux",
		"config": object{"Entrypoint": []string{"/program"}, "User": "65532:65532"},
		"rootfs": object{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]object{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	var image bytes.Buffer
	if err := writeTar(&image, "config.json", config, "layer.tar", layer.Bytes(), "manifest.json", manifest); err != nil {
		return err
	}
	return os.WriteFile(archive, image.Bytes(), 0o600)
}

// writeTar writes files, given as names and contents in turn.
func writeTar(to *bytes.Buffer, files ...any) error {
	writer := tar.NewWriter(to)
	for i := 0; i < len(files); i += 2 {
		content := files[i+1].([]byte)
		if err := writer.WriteHeader(&tar.Header{Name: files[i].(string), Mode: 0o755, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := writer.Write(content); err != nil {
			return err
		}
	}
	return writer.Close()
}

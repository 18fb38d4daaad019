//go:build e2e

package e2e

import (
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A browser shows the landing page on a desktop and a phone, in light and dark mode.
func TestLandingPage(t *testing.T) {
	t.Parallel()
	people := []user{{Name: "ada-lovelace", Groups: []string{"bio", "<b>bold & odd"}}, {Name: "bob", Groups: []string{strings.Repeat("a-name-without-end-", 12)}}}
	h := startHub(t, versions[0], people, reader)
	exporter, address := serve(t, h.of(token("reader")), "--refresh-interval=1s")
	exporter.untilText("the landing page is current", func() (string, error) { return get(address + "/") }, contains("up to date"))

	dom := browse(t, address, "--dump-dom")
	containsAll(t, "landing page", dom, "<dd>up to date</dd>", "<dd>"+h.api+"</dd>", "<td>bio</td><td>1</td>", "<td>&lt;b&gt;bold &amp; odd</td>", `href="metrics"`)
	if strings.Contains(dom, "ada-lovelace") {
		t.Error("landing page contains a user's name")
	}

	desk := screenshot(t, address, "1000,900")
	dark := screenshot(t, address, "1000,900", "--blink-settings=preferredColorScheme=0")
	phone := screenshot(t, address, "500,900")
	if brightness(desk, 0, 0) < 0.9 || brightness(dark, 0, 0) > 0.3 {
		t.Errorf("brightness %.2f in light mode, %.2f in dark mode", brightness(desk, 0, 0), brightness(dark, 0, 0))
	}
	for name, picture := range map[string]image.Image{"desk": desk, "dark": dark, "phone": phone} {
		if isEmpty(picture, picture.Bounds()) {
			t.Errorf("%s: screenshot is empty", name)
		}
		// Content that is too wide for the screen would extend into the margin.
		margin := picture.Bounds()
		margin.Min.X = margin.Max.X - 8
		if !isEmpty(picture, margin) {
			t.Errorf("%s: the page is wider than the screen", name)
		}
	}

	h.stop()
	exporter.untilText("the landing page shows the error", func() (string, error) { return browse(t, address, "--dump-dom"), nil }, func(dom string) error {
		return errors.Join(contains("the hub is failing; its last answer is still published")(dom), contains("connection refused")(dom))
	})
}

// browse runs a browser and returns its output.
func browse(t *testing.T, address string, args ...string) string {
	t.Helper()
	args = append([]string{"chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + t.TempDir()}, args...)
	return output(t, "", append(args, address+"/")...)
}

func screenshot(t *testing.T, address, size string, args ...string) image.Image {
	t.Helper()
	name := filepath.Join(t.TempDir(), "page.png")
	browse(t, address, append(args, "--window-size="+size, "--screenshot="+name)...)
	file, err := os.Open(name)
	noError(t, err)
	defer file.Close()
	picture, err := png.Decode(file)
	noError(t, err)
	return picture
}

func brightness(picture image.Image, x, y int) float64 {
	r, g, b, _ := picture.At(x, y).RGBA()
	return float64(r+g+b) / (3 * 0xffff)
}

// isEmpty reports whether a part of a picture has a single color.
func isEmpty(picture image.Image, part image.Rectangle) bool {
	first := picture.At(part.Min.X, part.Min.Y)
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if picture.At(x, y) != first {
				return false
			}
		}
	}
	return true
}

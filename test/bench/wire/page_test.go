package wire

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// The size of the picture of a page, in pixels.
const pictureWidth, pictureHeight = 1200, 1830

// photograph makes the picture of a page that rlserver bench --html writes, by a real browser: of a run
// in which some keys are asked for so often that much is denied.
func photograph(t testing.TB) {
	t.Helper()
	rounds, length := plan()
	rlserver, redis := harness.StartServer(t), harness.StartRedis(t)
	page, picture := output(t, "page.html"), output(t, "page.png")
	words := []string{"bench", "token_bucket", "100", "60", "-P", "16", "--key-space", "zipf", "--html", page,
		"--target", "rlserver=" + rlserver.Addr(), "--target", "incr=" + redis.Addr(), "--target", "script=" + redis.Addr(), "--target", "redis_rate=" + redis.Addr(),
		"-d", length.String(), "--rounds", strconv.Itoa(rounds), "--timeout", patience}
	if out, err := exec.Command(harness.Binary(t), words...).CombinedOutput(); err != nil {
		t.Fatalf("rlserver %v: %v\n%s", words, err, out)
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v (test/setup installs it)", err)
	}
	// A root may not use the browser's sandbox, and in a container there may be little shared memory.
	out, err := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir="+t.TempDir(),
		"--window-size="+strconv.Itoa(pictureWidth)+","+strconv.Itoa(pictureHeight), "--screenshot="+picture, "file://"+page).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := shrink(picture); err != nil {
		t.Fatal(err)
	}
}

// shrink writes a picture again with the 256 colours that it has most of, which is a third of its size.
func shrink(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	full, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		return err
	}
	count := map[color.Color]int{}
	bounds := full.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[full.At(x, y)]++
		}
	}
	var palette color.Palette
	for c := range count {
		palette = append(palette, c)
	}
	slices.SortFunc(palette, func(a, b color.Color) int { return cmp.Compare(count[b], count[a]) })
	palette = palette[:min(256, len(palette))]
	nearest := map[color.Color]uint8{}
	small := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := full.At(x, y)
			index, known := nearest[c]
			if !known {
				index = uint8(palette.Index(c))
				nearest[c] = index
			}
			small.SetColorIndex(x, y, index)
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

//go:build e2e

package e2e

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Forms of a name by key, from kubespawner or the program.
type forms map[string]string

// The forms of random names are the same as those of kubespawner.
func TestEscape(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	inputs, got := randomForms(t, random)
	input, err := json.Marshal(inputs)
	noError(t, err)
	want := decode[[]forms](t, outputOf(t, "", os.Environ(), string(input), kubespawner+"/bin/python", "testdata/forms.py"))
	if len(want) != len(got) {
		t.Fatalf("kubespawner printed %d rows, want %d", len(want), len(got))
	}
	wrong := 0
	for i := range want {
		if err := same(want[i], got[i]); err != nil {
			if wrong++; wrong <= 10 {
				t.Errorf("%q, server %q: %v", inputs[i][0], inputs[i][1], err)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d names differ from kubespawner's", wrong, len(want))
	}
}

// newRandom returns random numbers whose seed the environment may set.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("GROUPS_EXPORTER_E2E_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("GROUPS_EXPORTER_E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// randomForms returns random names of users and servers, and the forms that the program prints for them.
func randomForms(t *testing.T, random *rand.Rand) (inputs [][2]string, got []forms) {
	t.Helper()
	const batches, size = 20, 1000
	for batch := range batches {
		names := make([]string, size)
		for i := range names {
			names[i] = randomName(random)
		}
		args := []string{"escape", "--null", "--output=json"}
		server := ""
		if batch%2 == 1 { // every other batch has named servers
			server = randomName(random)
			args = append(args, "--server-name="+server)
		}
		for _, name := range names {
			inputs = append(inputs, [2]string{name, server})
		}
		r := run(t, environment(), strings.Join(names, "\x00")+"\x00", args...)
		rows := decode[[]forms](t, r.stdout)
		if r.code != 0 || len(rows) != size {
			t.Fatalf("%q: exit code %d, %d rows, want %d\n%s", args, r.code, len(rows), size, r.stderr)
		}
		got = append(got, rows...)
	}
	return inputs, got
}

// Alphabets with edge cases. Arguments can't contain NUL, and UTF-8 can't contain half of a surrogate pair.
var alphabets = [][]rune{
	[]rune("abcdefghijklmnopqrstuvwxyz"),
	[]rune("abc019-"),
	[]rune("abcXYZ019-._"),
	[]rune("aZ0-@.:/\\ +%'\"{}"),
	[]rune("a-\t\n\r\x01\x0b\x1b\x1f\x7f\u0085\u00a0\u2028"),
	[]rune("azßéİıſKÅǅΣς日本語ﬁ٣²Ⅷ🦉𝔘\u0301\ufeff\ufffd"),
}

func randomName(random *rand.Rand) string {
	alphabet := alphabets[random.IntN(len(alphabets))]
	length := 1 + random.IntN(20)
	if random.IntN(3) == 0 { // lengths around the limits of 48 and 63, and far above
		length = 30 + random.IntN(120)
	}
	name := make([]rune, length)
	for i := range name {
		name[i] = alphabet[random.IntN(len(alphabet))]
		if random.IntN(200) == 0 {
			name[i] = anyRune(random)
		}
	}
	if random.IntN(10) == 0 { // an invalid first or last character
		blemishes := []rune("-.\n_A9é")
		name[(length-1)*random.IntN(2)] = blemishes[random.IntN(len(blemishes))]
	}
	return string(name)
}

func anyRune(random *rand.Rand) rune {
	for {
		if r := rune(1 + random.IntN(0x10ffff)); r < 0xd800 || r > 0xdfff {
			return r
		}
	}
}

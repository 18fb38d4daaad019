package remote_test

import (
	"strings"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

func TestParseURL(t *testing.T) {
	for _, address := range []string{"http://hub", "https://hub:8081/base/", "http://[::1]:65535", "http://127.0.0.1:0"} {
		if u, err := remote.ParseURL(address); err != nil || u.String() != address {
			t.Errorf("%s is %v, error %v", address, u, err)
		}
	}
}

// Wherever somebody puts a password by mistake, no error repeats it.
func TestNoErrorRepeatsTheAddress(t *testing.T) {
	for _, secret := range []string{"hunter", "hunter2!", "7777777", "%zz", "a b", "é", "["} {
		for _, form := range []string{
			"http://127.0.0.1:SECRET", "http://127.0.0.1:SECRET/hub", "http://user:SECRET@hub", "http://SECRET@hub", "http://user:SECRET%40hub", "http://user:SECRET\uff20hub",
			"http://[::1]:SECRET", "http://[SECRET", "http://hub?SECRET", "http://hub#SECRET", "http:SECRET", "SECRET", "SECRET://hub", "user:SECRET", "://SECRET", "http://\x7f SECRET",
		} {
			address := strings.ReplaceAll(form, "SECRET", secret)
			if _, err := remote.ParseURL(address); err == nil {
				t.Errorf("%q is taken", address)
			} else if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error of %q repeats it: %v", address, err)
			}
		}
	}
}

package policy

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"bind", "port", "protected-mode", "max-log-limit", "maxclients"}
	for name, want := range map[string]string{
		"prot": "port", "max_log_limit": "max-log-limit", "max-clients": "maxclients",
		"protectedmode": "protected-mode", "port": "port", "zed": "", "bnd": "bind", "": "", "save": "", "replica-of": "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}

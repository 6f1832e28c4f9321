package operator

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// The image is FROM scratch: nothing but the binary. Building an image needs an engine,
// which a test cannot count on, so this runs the binary that the Dockerfile's build step
// makes, alone in an empty root, as the image's user and with the image's environment.
func TestStaticBinaryRunsAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("changing the root needs root: run the tests as root, as CI does")
	}
	image := readDockerfile(t)
	build := exec.Command("make", "build")
	build.Dir = harness.Repository()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	root := t.TempDir()
	for dir := root; dir != filepath.Dir(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755) // the image's user must reach it
	}
	if err := os.Link(filepath.Join(harness.Repository(), "bin/rlserver"), filepath.Join(root, "rlserver")); err != nil {
		bytes, readErr := os.ReadFile(filepath.Join(harness.Repository(), "bin/rlserver"))
		if readErr != nil || os.WriteFile(filepath.Join(root, "rlserver"), bytes, 0o755) != nil {
			t.Fatal(err)
		}
	}
	port := harness.FreePort(t)
	env := append(image.env, "RLSERVER_PORT="+strconv.Itoa(port))
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/rlserver", args...)
		cmd.Path = "/rlserver"
		cmd.Env = env
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot:     root,
			Credential: &syscall.Credential{Uid: image.uid, Gid: image.uid},
		}
		return cmd
	}
	var log harness.LockedBuffer
	server := inside(image.command...)
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()

	// The health check is how an engine would learn that it is up.
	healthy := false
	for range 100 {
		if err := inside(image.health...).Run(); err == nil {
			healthy = true
			break
		}
		harness.Pause()
	}
	if !healthy {
		t.Errorf("the health check %q never succeeded\n%s", image.health, &log)
	}
	out, err := inside("check", "user:123", "token_bucket", "100", "60").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "99 of 100 left") {
		t.Errorf("check inside: %v\n%s", err, out)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v\n%s", err, &log)
	}
	if err := inside(image.health...).Run(); err == nil {
		t.Error("the health check succeeds though nothing runs")
	}
}

// dockerfile is what the final stage of the Dockerfile says.
type dockerfile struct {
	env, command, health []string
	uid                  uint32
}

func readDockerfile(t *testing.T) dockerfile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Repository(), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	build, final, found := strings.Cut(string(text), "\nFROM scratch")
	if !found || !strings.Contains(build, "make build") {
		t.Fatal("the Dockerfile does not build with `make build` and end with a stage FROM scratch")
	}
	var d dockerfile
	final = strings.ReplaceAll(final, "\\\n", " ")
	for line := range strings.Lines(final) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "ENV":
			d.env = append(d.env, strings.Fields(rest)...)
		case "USER":
			id, _, _ := strings.Cut(rest, ":")
			n, err := strconv.ParseUint(id, 10, 32)
			if err != nil || n == 0 {
				t.Fatalf("USER %s: want the number of a user that is not root", rest)
			}
			d.uid = uint32(n)
		case "CMD":
			d.command = execForm(t, rest)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, "CMD ")
			d.health = execForm(t, command)[1:]
		}
	}
	if d.uid == 0 || len(d.command) == 0 || len(d.health) == 0 {
		t.Fatalf("USER, CMD or HEALTHCHECK is missing: %+v", d)
	}
	return d
}

// execForm reads ["a", "b"].
func execForm(t *testing.T, text string) []string {
	t.Helper()
	var words []string
	for word := range strings.SplitSeq(strings.Trim(strings.TrimSpace(text), "[]"), ",") {
		word, err := strconv.Unquote(strings.TrimSpace(word))
		if err != nil {
			t.Fatalf("not in exec form: %s", text)
		}
		words = append(words, word)
	}
	return words
}

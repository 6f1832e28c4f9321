// Package lines is what the programs for Go have in common: how they are told where the server
// is, and how lines become commands and replies become lines (see clients_test.go).
package lines

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// Address, Password, Protocol and Mode are the environment's.
var (
	Address  = os.Getenv("ADDRESS")
	Password = os.Getenv("PASSWORD")
	Protocol = os.Getenv("PROTOCOL")
	Mode     = os.Getenv("MODE")
)

// TLS trusts the authority that the environment names; without one it is nil, for no TLS.
func TLS() *tls.Config {
	if os.Getenv("CA") == "" {
		return nil
	}
	pem, err := os.ReadFile(os.Getenv("CA"))
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

// Carry prints the version of a module, then answers lines until there are no more. ask sends
// commands together, as lists of words, and returns their replies as lines show them.
func Carry(module string, ask func(commands [][]string) []string) {
	build, _ := debug.ReadBuildInfo()
	for _, m := range build.Deps {
		if m.Path == module {
			fmt.Println(m.Version)
		}
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var commands [][]string
		for command := range strings.SplitSeq(in.Text(), " ; ") {
			commands = append(commands, strings.Fields(command))
		}
		fmt.Println(strings.Join(ask(commands), " ; "))
	}
}

// Show writes a reply for a line.
func Show(reply any, err error) string {
	if err != nil {
		return fmt.Sprintf("error %T: %s", err, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if list, ok := reply.([]any); ok {
		return strings.Trim(fmt.Sprint(list...), "[]")
	}
	return strings.ReplaceAll(fmt.Sprint(reply), "\n", " ")
}

// Words makes arguments of words.
func Words(words []string) []any {
	args := make([]any, len(words))
	for i, word := range words {
		args[i] = word
	}
	return args
}

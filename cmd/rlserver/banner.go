package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/rlserver/rlserver/server/config"
)

// banner is what somebody who has started a server in a terminal needs to know.
func banner(cfg *config.Config, port, tlsPort int, addrs []net.Addr) string {
	var listens []string
	for _, a := range addrs {
		listens = append(listens, a.String())
	}
	const question = "user:123 token_bucket 100 60"
	where := clientWords(cfg, port, tlsPort)
	return fmt.Sprintf(`
rlserver %s listens on %s. Ask it in another terminal:

  redis-cli%s RL.CHECK %s
  rlserver check %s%s

Ctrl-C ends it. rlserver --help shows the commands, rlserver serve --help the settings.

`, programVersion(), strings.Join(listens, ", "), where, question, question, where)
}

// clientWords are the flags with which redis-cli, and rlserver check, reach a server on this machine.
func clientWords(cfg *config.Config, port, tlsPort int) (words string) {
	host := localHost(cfg.Bind)
	switch {
	case port > 0:
		words = fmt.Sprintf(" -p %d", port)
	case tlsPort > 0:
		words = fmt.Sprintf(" --tls --cacert FILE -p %d", tlsPort)
	default:
		host, words = "127.0.0.1", " -s "+cfg.UnixSocket
	}
	if host != "127.0.0.1" {
		words += " -h " + host
	}
	if cfg.RequirePass != "" {
		words += " -a PASSWORD"
	}
	return words
}

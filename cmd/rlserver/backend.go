package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/lua"
	"github.com/rlserver/rlserver/server"
)

// decideElsewhere has a Redis decide for the server, if the configuration says so. store is
// for decisions while it cannot.
func decideElsewhere(srv *server.Server, cfg *server.Config, store *engine.Store, logger *slog.Logger) (*lua.Limiter, error) {
	c := &cfg.Redis
	if c.Backend == server.BackendMemory {
		return nil, nil
	}
	tlsConfig, err := redisTLS(c)
	if err != nil {
		return nil, err
	}
	limiter, err := lua.New(lua.Options{
		Mode: lua.Mode(c.Backend), Addrs: c.Addrs, MasterName: c.MasterName,
		Username: c.Username, Password: c.Password, PasswordFile: c.PasswordFile,
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		TLS: tlsConfig, DB: c.DB, Pipelines: c.PoolSize, Prefix: c.Prefix,
		DenyCacheSize: c.DenyCacheSize, Tuning: tuning(c), Local: store, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	srv.UseBackend(limiter, func(cfg *server.Config) { limiter.Tune(tuning(&cfg.Redis)) })
	return limiter, nil
}

func tuning(c *server.RedisConfig) lua.Tuning {
	return lua.Tuning{
		Timeout: c.Timeout, DenyCacheMax: c.DenyCacheMax,
		OnFailure: lua.Policy(c.OnFailure), LocalShare: c.LocalShare,
	}
}

// redisTLS is how TLS is spoken with Redis; nil is not at all.
func redisTLS(c *server.RedisConfig) (*tls.Config, error) {
	if !c.TLS {
		if c.TLSCAFile+c.TLSCertFile+c.TLSKeyFile != "" {
			return nil, errors.New("redis-tls-ca-cert-file, redis-tls-cert-file and redis-tls-key-file need redis-tls: set it to yes")
		}
		return nil, nil
	}
	return clientTLS("redis-tls-ca-cert-file", c.TLSCAFile, "redis-tls-cert-file", c.TLSCertFile, "redis-tls-key-file", c.TLSKeyFile)
}

// clientTLS is how TLS is spoken with another server: with which authority, or the system's,
// and which certificate to show, or none. Errors name the settings.
func clientTLS(caName, ca, certName, cert, keyName, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", caName, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in %s", caName, ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, fmt.Errorf("%s and %s belong together: set both or none", certName, keyName)
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", certName, keyName, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

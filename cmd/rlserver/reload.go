package main

import (
	"errors"
	"log/slog"

	"github.com/rlserver/rlserver/replication"
	"github.com/rlserver/rlserver/server"
	"github.com/rlserver/rlserver/server/config"
)

// SIGHUP reads the certificates and the configuration file again. The settings of the file take
// effect as CONFIG SET would have them, and its policies become what it says: all or none. Flags and
// variables go before the file still, and a setting that the file does not name stays as it is, unless
// the file named it before: then it is at its default again.

// reload returns what does that, one call after the other. again reads all sources anew.
func (c *configuration) reload(srv *server.Server, again func() (configuration, error), logger *slog.Logger) func() {
	origins := c.origins // as of the last reload
	return func() {
		if err := srv.ReloadTLS(); err != nil {
			logger.Error("the certificates are not reloaded; those before stay in force", "error", err)
		} else if _, tlsPort := srv.Ports(); tlsPort != 0 {
			logger.Info("certificates reloaded")
		}
		changed, err := c.reloadSettings(srv, again, &origins, logger)
		if err != nil {
			logger.Error("the configuration is not reloaded: nothing has changed", "error", err)
			return
		}
		logger.Info("configuration reloaded", "file", c.file.path, "changed", changed)
	}
}

// reloadSettings has the settings take effect that have changed, and returns how many there are. After
// an error nothing has changed.
func (c *configuration) reloadSettings(srv *server.Server, again func() (configuration, error), origins *map[string]string, logger *slog.Logger) (changed int, err error) {
	fresh, err := again()
	if err == nil {
		err = checkReplication(&fresh)
	}
	if err != nil {
		return 0, err
	}
	changes, restart := c.differences(fresh, *origins, srv.Settings())
	if err := srv.Reconfigure(changes); err != nil {
		return 0, err
	}
	*origins = fresh.origins
	if err := srv.FilePolicies(fresh.policies); errors.Is(err, replication.ErrReplica) {
		logger.Info("the policies of the file are not put in force on a replica, which has those of its primary")
	} else if err != nil {
		logger.Error("the policies are not reloaded; those before stay in force", "error", err)
	} else {
		srv.TellPolicies()
	}
	for _, name := range restart {
		logger.Warn("a setting of the configuration file needs a restart to take effect", "name", name, "from", fresh.origins[name])
	}
	for _, change := range changes {
		row, _ := config.Find(fresh.cfg.Settings(), change[0])
		logger.Info("setting", "name", row.Name, "value", row.Show(), "from", fresh.origins[row.Name])
	}
	return len(changes), nil
}

// differences are the settings that have another value in the file than is in force, and the names of
// those that differ from the start and cannot be changed while the server runs.
func (c *configuration) differences(fresh configuration, origins map[string]string, inForce []config.Setting) (changes [][2]string, restart []string) {
	started := c.cfg.Settings()
	for _, row := range fresh.cfg.Settings() {
		origin, named := fresh.origins[row.Name]
		before, wasNamed := origins[row.Name]
		if isAboveFile(row.Name, origin) || isAboveFile(row.Name, before) || !named && !wasNamed {
			continue
		}
		value := row.Get()
		now, _ := config.Find(inForce, row.Name)
		start, _ := config.Find(started, row.Name)
		switch {
		case value == now.Get():
		case row.Live:
			changes = append(changes, [2]string{row.Name, value})
		case value != start.Get():
			restart = append(restart, row.Name)
		}
	}
	return changes, restart
}

// isAboveFile says whether a setting comes from a flag or a variable.
func isAboveFile(name, origin string) bool { return origin == "--"+name || origin == envName(name) }

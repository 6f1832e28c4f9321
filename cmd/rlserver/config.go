package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rlserver/rlserver/server"
)

const configurationHelp = `Every setting is a flag, an environment variable (RLSERVER_MAX_LOG_LIMIT for --max-log-limit)
and a key of the YAML file given with --config or RLSERVER_CONFIG (max-log-limit: 5000). A flag
goes before the environment, the environment before the file, and the file before the default.`

// A configuration is what to run with, and how it came about.
type configuration struct {
	cfg      server.Config
	origins  map[string]string // setting → who set it; settings left at their default are absent
	warnings []warning
}

// An assignment is a setting with a value that somebody gave it.
type assignment struct {
	row    server.Setting
	value  string
	origin string // who: --port, RLSERVER_PORT, or rlserver.yaml:3
}

// A warning waits for the log, which is configured only when everything has been read.
type warning struct {
	text  string
	attrs []any
}

// load reads the file and the environment, and puts flags on top.
func load(file configFile, env environment, flags []assignment) (configuration, error) {
	c := configuration{cfg: server.DefaultConfig(), origins: map[string]string{}}
	fromFile, err := file.settings()
	if err != nil {
		return c, err
	}
	fromEnvironment, warnings := env.settings()
	c.warnings = warnings
	for _, source := range [][]assignment{fromFile, fromEnvironment, flags} {
		for _, a := range source {
			if err := a.row.Set(&c.cfg, a.value); err != nil {
				return c, fmt.Errorf("%s: %w", a.origin, err)
			}
			c.origins[a.row.Name] = a.origin
		}
	}
	return c, nil
}

// settingValue is the value of a setting's flag. It takes anything: load checks it, with
// the same words for a flag, a variable and a line of the file.
type settingValue string

func (v *settingValue) String() string         { return string(*v) }
func (v *settingValue) Set(value string) error { *v = settingValue(value); return nil }
func (v *settingValue) Type() string           { return "VALUE" }

// addSettingFlags adds a flag for each setting, in the order of the table, and --config.
func addSettingFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	addConfigFlag(cmd)
	defaults := server.DefaultConfig()
	for _, row := range server.Settings {
		usage := row.Usage + "\n" + row.Accepts
		if value := row.Get(&defaults); value != "" {
			usage += " (default " + value + ")"
		}
		flags.Var(new(settingValue), row.Name, usage)
		// The only error is that the flag does not exist.
		_ = cmd.RegisterFlagCompletionFunc(row.Name, cobra.NoFileCompletions)
	}
}

// flagSettings are the settings among the flags that were given.
func flagSettings(flags *pflag.FlagSet) []assignment {
	var found []assignment
	for _, row := range server.Settings {
		if f := flags.Lookup(row.Name); f.Changed {
			found = append(found, assignment{row, f.Value.String(), "--" + row.Name})
		}
	}
	return found
}

const configFlag = "config"

func addConfigFlag(cmd *cobra.Command) {
	cmd.Flags().String(configFlag, "", "YAML `FILE` with settings: one a line, name: value")
	_ = cmd.MarkFlagFilename(configFlag, "yaml", "yml") // the only error is that the flag does not exist
}

// chooseConfigFile takes --config, or else RLSERVER_CONFIG. An empty --config is no file.
func chooseConfigFile(flags *pflag.FlagSet, env environment) configFile {
	if f := flags.Lookup(configFlag); f.Changed {
		return configFile{f.Value.String(), "--config"}
	}
	return configFile{env[envConfig], envConfig}
}

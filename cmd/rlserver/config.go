package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/config"
)

const configurationHelp = `Every setting is a flag, an environment variable (RLSERVER_MAX_LOG_LIMIT for --max-log-limit)
and a key of the YAML file given with --config or RLSERVER_CONFIG (max-log-limit: 5000). A flag
goes before the environment, the environment before the file, and the file before the default.`

// A configuration is every setting, and where its value comes from.
type configuration struct {
	cfg         *config.Config
	backend     *backendSettings     // sections
	replication *replicationSettings // of cfg
	origins     map[string]string    // setting → origin; settings left at their default are absent
	warnings    []warning
	file        configFile
	said        *yaml.Node // of the policies in the file; nil: there are none
	policies    []policy.FileDefinition
}

func newConfiguration() configuration {
	c := configuration{backend: &backendSettings{}, replication: &replicationSettings{}, origins: map[string]string{}}
	c.cfg = config.Default(c.replication, c.backend)
	return c
}

// table is the table of settings at their defaults, to look up names and texts. Its fields are
// those of a configuration that nothing runs with.
var table = newConfiguration().cfg.Settings()

// settingNames are the names in the table.
func settingNames() (names []string) {
	for _, row := range table {
		names = append(names, row.Name)
	}
	return names
}

// An assignment is a setting with a value that one of the sources gives it.
type assignment struct {
	name   string
	value  string
	origin string // --port, RLSERVER_PORT, or rlserver.yaml:3
}

// A warning waits for the log, which is configured only when everything has been read.
type warning struct {
	text  string
	attrs []any
}

// load reads the file and the environment, and puts the settings that flags give on top.
func load(flags *pflag.FlagSet, env environment, given []assignment) (configuration, error) {
	return loadFile(chooseConfigFile(flags, env), env, given)
}

func loadFile(file configFile, env environment, given []assignment) (configuration, error) {
	c := newConfiguration()
	c.file = file
	said, err := c.file.contents()
	if err != nil {
		return c, err
	}
	c.said = said.policies
	fromEnvironment, warnings := env.settings()
	c.warnings = warnings
	rows := c.cfg.Settings()
	for _, source := range [][]assignment{said.settings, fromEnvironment, given} {
		for _, a := range source {
			row, _ := config.Find(rows, a.name)
			if err := row.Set(a.value); err != nil {
				return c, fmt.Errorf("%s: %w", a.origin, err)
			}
			c.origins[a.name] = a.origin
		}
	}
	return c, nil
}

// readPolicies reads the policies of the file. A file without the key policies has none; where servers
// share them in Redis, it leaves them as they are there: then policies is nil.
func (c *configuration) readPolicies() (err error) {
	switch {
	case c.said != nil:
		c.policies, err = policyReader{c.file, c.cfg.MaxLogLimit, map[string]policy.Definition{}}.read(c.said)
	case c.cfg.Backend == config.BackendMemory:
		c.policies = []policy.FileDefinition{}
	}
	c.said = nil // which takes more memory than the policies
	return err
}

// unused are warnings about settings that were given and have no effect with the others.
func (c *configuration) unused() (warnings []warning) {
	for _, row := range c.cfg.Settings() {
		origin, given := c.origins[row.Name]
		needs := ""
		switch {
		case !given || row.Get() == "":
		case row.Group == config.Backend && row.Name != config.NameBackend && c.cfg.Backend == config.BackendMemory:
			needs = "backend redis, redis-cluster or redis-sentinel"
		case len(row.Needs) > 0 && !slices.ContainsFunc(row.Needs, func(name string) bool { return c.origins[name] != "" }):
			needs = strings.Join(row.Needs, " or ")
		}
		if needs != "" {
			warnings = append(warnings, warning{"a setting has no effect", []any{"name", row.Name, "from", origin, "needs", needs}})
		}
	}
	return warnings
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
	for _, row := range table {
		usage := row.Usage + "\n" + row.Accepts()
		if value := row.Get(); value != "" {
			usage += " (default " + value + ")"
		}
		flags.Var(new(settingValue), row.Name, usage)
		completeSetting(cmd, row)
	}
}

// flagSettings are the settings among the flags that were given.
func flagSettings(flags *pflag.FlagSet) []assignment {
	var found []assignment
	for _, row := range table {
		if f := flags.Lookup(row.Name); f.Changed {
			found = append(found, assignment{row.Name, f.Value.String(), "--" + row.Name})
		}
	}
	return found
}

const configFlag = "config"

func addConfigFlag(cmd *cobra.Command) {
	cmd.Flags().String(configFlag, "", "YAML `FILE` with settings, one a line, name: value, and with policies")
	_ = cmd.MarkFlagFilename(configFlag, "yaml", "yml") // the only error is that the flag does not exist
}

// chooseConfigFile takes --config, or else RLSERVER_CONFIG. An empty --config is no file.
func chooseConfigFile(flags *pflag.FlagSet, env environment) configFile {
	if f := flags.Lookup(configFlag); f.Changed {
		return configFile{f.Value.String(), "--config"}
	}
	return configFile{env[envConfig], envConfig}
}

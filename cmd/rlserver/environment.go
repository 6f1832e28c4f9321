package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/rlserver/rlserver/policy"
)

const (
	envPrefix = "RLSERVER_"
	envConfig = envPrefix + "CONFIG"
)

// An environment has the RLSERVER_… variables, and redis-cli's password, that are set and not empty. Compose files and shells
// leave an empty variable where a value is missing, so an empty one counts as none.
type environment map[string]string

func newEnvironment(pairs []string) environment {
	env := environment{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if (strings.HasPrefix(name, envPrefix) || name == envPassword) && value != "" {
			env[name] = value
		}
	}
	return env
}

// envName is the variable for a setting: RLSERVER_MAX_LOG_LIMIT for max-log-limit.
func envName(setting string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// settings are the settings among the variables, and warnings about the others.
func (env environment) settings() (found []assignment, warnings []warning) {
	settings := map[string]string{envConfig: "", envPassword: ""}
	for _, row := range table {
		settings[envName(row.Name)] = row.Name
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		setting, known := settings[name]
		switch {
		case setting == settingPort && isServiceAddress(env[name]):
			warnings = append(warnings, warning{
				"environment variable ignored: Kubernetes sets it for a Service named rlserver; set enableServiceLinks: false in the pod, or name the Service differently",
				[]any{"name", name, "value", env[name]}})
		case setting != "":
			found = append(found, assignment{setting, env[name], name})
		case known, isServiceLink(name, env[name]):
		default:
			w := warning{"unknown environment variable ignored", []any{"name", name}}
			if near := policy.Nearest(name, slices.Sorted(maps.Keys(settings))); near != "" {
				w.attrs = append(w.attrs, "did_you_mean", near)
			}
			warnings = append(warnings, w)
		}
	}
	return found, warnings
}

// isServiceLink recognises the variables that Kubernetes puts into every container of a
// namespace that has a Service called rlserver, or rlserver-something: RLSERVER_SERVICE_HOST,
// RLSERVER_PORT_6380_TCP, RLSERVER_SOMETHING_PORT=tcp://… and their like. No person
// set them, so they need no warning.
func isServiceLink(name, value string) bool {
	return strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT_") ||
		strings.HasSuffix(name, "_PORT") && isServiceAddress(value)
}

func isServiceAddress(value string) bool {
	return strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://")
}

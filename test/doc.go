// Package test looks at rlserver from outside: its tests start the real binary as a process and
// talk to it with real clients, beside a real Redis where the two must agree. Each folder has one
// subject:
//
//   - attack: connections that do harm, and what honest clients notice of them
//   - backend: decisions in a Redis, a Redis Cluster or behind Sentinels, and their faults
//   - clients: redis-cli, redis-benchmark, and client libraries, of which `make test-clients` tries
//     all and `make test` those for Go, Node and Python; redis_exporter; the README and its pages
//   - debugging: CLIENT, COMMAND, INFO, MONITOR, SLOWLOG and keys, as an operator reads them
//   - durability: what a crash, a full disk or a damaged file leaves of what was acknowledged
//   - load: rlserver bench, of servers that are right, wrong, or fail
//   - operator: passwords, protected mode, maxmemory, shutdown, the image
//   - policies: named limits, all or nothing, changed while they are asked
//   - pubsub: subscriptions and transactions
//   - replication: replicas, their links, and failover by Sentinels
//   - wire: the protocol byte by byte, beside Redis; TLS and sockets
//
// Four folders look at the engine in process:
//
//   - linearizability: histories of concurrent calls against the pure step
//   - model: random sequences against a map
//   - parity: the same questions in memory and in Redis
//   - picture: docs/algorithms.svg, the same requests asked of every algorithm
//
// The others hold no tests of the server: harness starts and asks servers, bench compares rlserver
// with its peers.
//
// What a test needs besides Go is installed by test/setup, which `make test` runs first; a test
// that finds it missing fails and says so, it does not skip.
//
// # Soaks
//
// The code alone decides a test's outcome. What depends on chance is a soak: a make target runs
// it (attack, crash, links, policies, soak, soak-times, soak-wire, fuzz), and CI does not.
//
// How long a server takes depends on what else the machine does, so only soaks judge it
// (harness.Within). CI asserts the rest of each of these tests, and that nothing takes a minute:
//
//   - attack: an honest client waits 2 s at most; attackers are closed within seconds of their
//     timeout; a server without descriptors uses a quarter of a core at most (attack, soak-times)
//   - debugging, pubsub, replication: a bystander waits a second at most beside a monitor, a
//     subscriber, a transaction or a replica that does not read (soak-times)
//   - backend: a question waits redis-timeout and 2 s at most; while Redis is dead a caller waits
//     once (soak-times)
//   - policies: servers on one Redis see a change within a second (soak-times); of the calls in memory
//     a thousandth is denied spuriously (policies)
//   - backend, replication: what a failover loses was admitted in the last 200 ms; a primary
//     without replicas ceases to admit 1.5 s after min-replicas-max-lag at most (soak-times)
//
// Too large for CI are the large attacks, hundreds of crashes, minutes of bad links, a million calls, and
// the search for growth (attack, crash, links, policies, soak-wire).
package test

// Package harness is what the tests of the built server share.
//
//   - binary.go: the server under test, which is built once for all packages of tests.
//   - server.go, sentinel.go, node.go: processes. StartServer, StartRedis and StartSentinel start a
//     server that ends with the test. A Node has a directory of its own, and a test kills it and
//     starts it again.
//   - cluster.go, clock_linux.go: a Redis Cluster, and a Redis whose clock a test sets.
//   - conn.go, resp.go, info.go: a Conn speaks bytes, a Value is a reply, INFO as fields.
//   - wait.go, times.go: Eventually waits for a condition. A test waits for what must come, and not
//     for a time after which it should have come. Within judges a time, in a soak.
//   - ports.go: free ports. Packages run at the same time, so each has a block of its own.
//   - certs.go, file.go, memory.go: certificates, files, and the memory of a process.
//
// A helper that only one folder needs stays in that folder.
package harness

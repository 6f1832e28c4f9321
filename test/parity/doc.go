// Package parity proves that the scripts in Redis and the engine in memory give the same
// answers, field by field: the same random sequences of questions go to an engine.Store, to a
// real Redis through lua.Limiter, and to the plain model as the referee. The clock is handed
// in, so that it can stand still, jump and run backwards.
//
// The same goes for two servers, on the wire, of which one has Redis decide and caches denials.
//
// What an algorithm table lacks on one side fails the test, and a new algorithm is covered
// without a line here.
package parity

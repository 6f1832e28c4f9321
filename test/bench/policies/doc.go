// Package policies measures what a check of a policy costs a server beside one with its limit inline,
// and what very many policies cost (make bench-policies).
package policies

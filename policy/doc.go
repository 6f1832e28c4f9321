// Package policy gives limits names. A policy is a name for one or several limits of a key; all of a
// server's policies are one set with a version. The package knows how policies are written, which
// limits apply to a key, and which limits another one has replaced. It decides nothing, keeps no state
// of a key, and does no I/O.
//
//	definition.go  what a policy is: rules, definitions, and what is wrong with one
//	words.go       the one reader of rules and options, for RL.CHECK, RL.POLICY, files and bench
//	number.go      numbers and periods
//	plan.go        a definition in force, and the names of states
//	former.go      which limits another one has replaced
//	set.go         the set of policies, and which plan is in force for a key
//	change.go      changes of the set, computed
//	apply.go       changes of the set, put in force
//	entry.go       a policy as it is kept: text
//	near.go        “did you mean”
//
// # Invariants
//
//  1. Reading is the inverse of writing: a definition that is written and read again is the same, and
//     so is an entry. (TestDefinitionsAreReadAsTheyAreWritten, FuzzParse, TestAnyChanges)
//  2. Who asks which plan is in force for a key waits for nobody, and allocates nothing.
//     (TestPlansChangeUnderReaders, TestALargeSet)
//  3. A plan's Replaced is set before the plan that takes its place can be found; from then on nobody
//     finds the one before. (TestPlansChangeUnderReaders)
//  4. A change is computed from the set in force and says all there is to do: sets in which the same
//     entries are put in force are the same, but for their files. (TestAnyChanges)
//  5. A state is under one rule at most: no two rules of a plan have the same suffix, and no former of
//     a rule has the suffix of a rule. (TestFormers, TestAnyChanges)
package policy

//! The integration tests: one binary, a module per promise.

mod support;

/// One sign-in, one prompt: joins, carry-over, deadlines, cancels, bounds, drain.
mod holds;

/// Every combination of what can happen: no Accept without its two proofs.
mod verdict;

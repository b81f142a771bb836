//! The integration tests: one binary, a module per promise.

mod support;

/// Every combination of what can happen: no Accept without its two proofs.
mod verdict;

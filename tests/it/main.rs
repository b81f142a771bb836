//! The integration tests: one binary, a module per promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a broken assumption is a failed test"
)]

mod support;

/// One sign-in, one prompt: joins, carry-over, deadlines, cancels, bounds, drain.
mod holds;

/// The directory client against directories that misbehave.
mod ldap_client;

/// The native protocol, client against simulator.
mod native_provider;

/// Whole conversations, told as text, in virtual time.
mod scenarios;

/// The user store: one suite for every implementation, and kill -9 at random moments.
mod store;

/// Every combination of what can happen: no Accept without its two proofs.
mod verdict;

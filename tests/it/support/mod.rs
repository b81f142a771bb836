//! Peers on loopback for the integration tests.

pub(crate) mod fake_directory;

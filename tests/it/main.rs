//! The integration tests: one binary, a module per promise.

mod native_provider;

//! The integration tests: one binary, a module per promise.

mod store;

mod support {
    pub(crate) mod memory_store;
}

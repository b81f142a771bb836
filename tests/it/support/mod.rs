//! What several promises share.

pub(crate) mod fake_directory;
pub(crate) mod fakes;
pub(crate) mod memory_store;
pub(crate) mod nas;
pub(crate) mod people_directory;
pub(crate) mod smtp;
pub(crate) mod tree_directory;

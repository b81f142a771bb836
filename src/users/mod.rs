//! The local user database: who is enrolled, and how.

pub mod model;
pub mod sqlite;
pub mod store;

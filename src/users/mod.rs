//! The local user database: who is enrolled, and how.

pub mod cache;
pub mod model;
pub mod sqlite;
pub mod store;

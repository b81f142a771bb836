//! The local user database: who is enrolled, and how.

pub mod backup;
pub mod cache;
pub mod changes;
pub mod codes;
pub mod details;
pub mod events;
pub mod hashing;
pub mod keys;
pub mod letters;
pub mod measures;
mod migrations;
pub mod model;
pub mod open;
pub mod phone;
pub mod pin;
pub mod pins;
pub mod place;
pub mod postgres;
pub mod profile;
pub mod roster;
pub mod rounds;
pub mod sealed;
pub mod sql;
pub mod sqlite;
pub mod store;
pub mod token;
pub mod typed;

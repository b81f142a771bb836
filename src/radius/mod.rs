//! Not written yet.

pub mod accounting;
pub mod attribute;
pub mod authenticator;
pub mod client;
pub mod dictionary;
pub mod door;
pub mod duplicates;
pub mod listener;
pub mod packet;
pub mod password;

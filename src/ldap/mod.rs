//! Not written yet.

pub mod bind;
pub mod message;
pub mod pool;
pub mod result;
pub mod search;

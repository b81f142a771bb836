//! Not written yet.

pub mod directory;
pub mod phone;

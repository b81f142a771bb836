//! Not written yet.

pub mod check;
pub mod demo;
pub mod docs;
pub mod serve;
pub mod test;
pub mod user;

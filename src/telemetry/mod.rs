//! Not written yet.

pub mod health;
pub mod logs;
pub mod metrics;

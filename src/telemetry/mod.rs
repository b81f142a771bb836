//! What the operators see: the program's own log, the metrics, the health page. Sign-ins end in
//! [`crate::audit`].

pub mod health;
pub mod logs;
pub mod metrics;
pub mod utc;

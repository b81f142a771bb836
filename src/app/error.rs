//! Why the service could not start or go on.

use std::fmt;

/// Why the service could not start or go on.
#[derive(Debug)]
pub struct AppError(pub(super) String);

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AppError {}

//! Builds everything from the configuration; starts, drains, stops. Not written yet.

use std::fmt;

use crate::config::Config;

/// Why the service could not start or go on.
#[derive(Debug)]
pub struct AppError(String);

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AppError {}

/// Runs the service until it is told to stop.
///
/// # Errors
/// Always: it is not part of this build.
pub async fn serve(_config: Config) -> Result<(), AppError> {
    Err(AppError("the service is not part of this build".to_owned()))
}

//! What a request of the native protocol asks for. Pure.

use axum::http::StatusCode;
use serde::Deserialize;

use crate::factor::native::wire::is_id;

/// A verification that is asked for, as far as a simulator looks at it.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) idempotency_key: String,
    pub(crate) application: String,
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) code: Option<String>,
    pub(crate) mode: String,
    pub(crate) expires_in: u64,
    pub(crate) server: Server,
    pub(crate) person: Person,
}

/// Who asks.
#[derive(Debug, Deserialize)]
pub(crate) struct Server {
    pub(crate) name: String,
}

/// Who is asked.
#[derive(Debug, Deserialize)]
pub(crate) struct Person {
    pub(crate) user_name: String,
    #[serde(default)]
    pub(crate) address: Option<String>,
}

impl Wanted {
    /// Reads a request.
    ///
    /// # Errors
    /// The status to answer with, and the word.
    pub(crate) fn read(body: &[u8]) -> Result<Wanted, (StatusCode, &'static str)> {
        let wanted: Wanted = serde_json::from_slice(body).map_err(|_| (StatusCode::BAD_REQUEST, "not_understood"))?;
        let fit =
            is_id(&wanted.idempotency_key) && wanted.mode == "standard" && (1..=3600).contains(&wanted.expires_in);
        if fit { Ok(wanted) } else { Err((StatusCode::UNPROCESSABLE_ENTITY, "unfit_field")) }
    }
}

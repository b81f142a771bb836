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
    pub(crate) mode: Mode,
    /// What the person's client shows, and they are to type.
    #[serde(default)]
    pub(crate) number: Option<String>,
    pub(crate) expires_in: u64,
    pub(crate) server: Server,
    pub(crate) person: Person,
}

/// What is asked of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Yes or no.
    Standard,
    /// Yes or no, and with a yes the PIN.
    Pin,
    /// One that nobody knows here.
    #[serde(other)]
    Other,
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
        let by_pin = wanted.mode == Mode::Pin && wanted.method != "oath";
        let number = wanted.number.as_deref().is_none_or(|number| number.bytes().all(|octet| octet.is_ascii_digit()));
        let fit = is_id(&wanted.idempotency_key)
            && (wanted.mode == Mode::Standard || by_pin)
            && number
            && (1..=3600).contains(&wanted.expires_in);
        if fit { Ok(wanted) } else { Err((StatusCode::UNPROCESSABLE_ENTITY, "unfit_field")) }
    }
}

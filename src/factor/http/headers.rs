//! Headers that several clouds want. Pure.

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The headers of a request that wants JSON.
pub fn accepting_json() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}

/// `before` and a secret as the value of a header, which is shown nowhere. `None` when it has octets that no header
/// has (RFC 9110 section 5.5).
pub fn secret_value(before: &str, secret: &Secret) -> Option<HeaderValue> {
    let mut value = Zeroizing::new(Vec::with_capacity(before.len() + secret.len()));
    value.extend_from_slice(before.as_bytes());
    value.extend_from_slice(secret.open());
    let mut value = HeaderValue::from_bytes(&value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_nowhere_and_breaks_no_header() {
        let secret = |text: &str| Secret::from_text(text.into());
        let value = secret_value("Bearer ", &secret("planted")).unwrap();
        assert_eq!(value.as_bytes(), b"Bearer planted");
        assert!(!format!("{value:?}").contains("planted"));
        assert_eq!(secret_value("", &secret("a\r\nX-Injected: b")), None);
    }
}

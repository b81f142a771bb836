//! What belongs to a person and is read only when it is needed: devices and the PIN. Pure.

use std::fmt;
use std::time::SystemTime;

use crate::users::model::masked;

/// An app of a person.
///
/// `Debug` masks the token: whoever has it can send prompts that look like ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// What the person calls it.
    pub name: String,
    /// What it is: `app`, `ios`, `android`, or the provider's word.
    pub kind: String,
    /// The app's token for pushes.
    pub token: String,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("token", &masked(&self.token))
            .finish()
    }
}

/// A person's PIN: its hash, never itself.
///
/// `Debug` does not show the hash either: PINs are short enough to be guessed from it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin {
    /// Argon2id as a PHC string.
    pub hash: String,
    /// Whether the person must change it before it is good for anything else.
    pub change_required: bool,
    /// From when on it must be changed.
    pub expires: Option<SystemTime>,
}

impl Pin {
    /// Whether the person must change it at `now`.
    pub fn must_change(&self, now: SystemTime) -> bool {
        self.change_required || self.expires.is_some_and(|expires| expires <= now)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin")
            .field("change_required", &self.change_required)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn debug_shows_neither_token_nor_hash() {
        let device = Device { name: "phone".into(), kind: "app".into(), token: "planted-token-0000".into() };
        let pin = Pin { hash: "planted-hash".into(), change_required: false, expires: None };
        assert!(!format!("{device:?} {pin:?}").contains("planted"));
    }

    #[test]
    fn a_pin_must_be_changed_when_asked_or_expired() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let pin = Pin { hash: String::new(), change_required: false, expires: Some(now + Duration::from_secs(1)) };
        assert!(!pin.must_change(now));
        assert!(pin.must_change(now + Duration::from_secs(1)));
        assert!(Pin { change_required: true, ..pin }.must_change(now));
    }
}

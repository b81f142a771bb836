//! A person in one piece of memory, without the unique id: a third of what a [`Person`] takes, and as quick
//! to turn into one as a copy.

use std::time::SystemTime;

use crate::users::model::{Method, Mode, Person};

/// Marks a field that the person does not have.
const NONE: u16 = u16::MAX;

/// How many texts a person has besides the unique id.
const FIELDS: usize = 10;

/// A person's texts one after the other, and where each ends.
#[derive(Debug)]
pub(super) struct Packed {
    text: Box<str>,
    /// In the order of the pattern in [`Packed::of`]; [`NONE`] for a missing one.
    ends: [u16; FIELDS],
    method: Method,
    mode: Mode,
    enabled: bool,
    blocked_until: Option<SystemTime>,
}

impl Packed {
    /// `None` for a person whose texts are 64 KiB or more.
    pub(super) fn of(person: &Person) -> Option<Packed> {
        // Taken apart in full, so that a new field cannot be forgotten here.
        let Person {
            unique_id: _,
            name,
            upn,
            dn,
            first_name,
            last_name,
            email,
            phone,
            phone_extension,
            device_token,
            method,
            mode,
            language,
            enabled,
            blocked_until,
        } = person;
        let optional = [upn, dn, first_name, last_name, email, phone, phone_extension, device_token];
        let fields = [Some(name), Some(language)].into_iter().chain(optional.into_iter().map(Option::as_ref));
        let mut text = String::new();
        let mut ends = [NONE; FIELDS];
        for (field, end) in fields.zip(&mut ends) {
            if let Some(field) = field {
                text.push_str(field);
                *end = u16::try_from(text.len()).ok().filter(|end| *end != NONE)?;
            }
        }
        let (method, mode, enabled, blocked_until) = (*method, *mode, *enabled, *blocked_until);
        Some(Packed { text: text.into_boxed_str(), ends, method, mode, enabled, blocked_until })
    }

    /// The person again.
    pub(super) fn unpacked(&self, unique_id: &str) -> Person {
        let mut start = 0;
        let mut ends = self.ends.iter();
        let mut next = || {
            let end = ends.next().copied().filter(|end| *end != NONE).map(usize::from)?;
            let field = self.text.get(start..end)?.to_owned();
            start = end;
            Some(field)
        };
        let (name, language) = (next().unwrap_or_default(), next().unwrap_or_default());
        Person {
            unique_id: unique_id.to_owned(),
            name,
            upn: next(),
            dn: next(),
            first_name: next(),
            last_name: next(),
            email: next(),
            phone: next(),
            phone_extension: next(),
            device_token: next(),
            method: self.method,
            mode: self.mode,
            language,
            enabled: self.enabled,
            blocked_until: self.blocked_until,
        }
    }
}

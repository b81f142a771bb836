//! The names that applications bind with: every form that a directory takes (MS-ADTS section 5.1.1.1.1), told apart
//! by its look. Pure.
//!
//! A name becomes a base or a value in a filter, as octets, so none of its characters can change the question.

use super::names::{MAX_NAME, guid_octets};

/// Longest distinguished or canonical name that is looked for, in octets.
pub const MAX_DN: usize = 2048;

/// Parts of a security identifier after its authority, at most ([MS-DTYP] section 2.4.2).
const MAX_SUB_AUTHORITIES: usize = 15;

/// A name to bind with, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindName<'a> {
    /// A distinguished name.
    Dn(&'a str),
    /// An objectGUID in braces or as `<GUID=…>`, as its octets.
    Guid([u8; 16]),
    /// A security identifier, `S-1-…` or `<SID=S-1-…>`, as its octets.
    Sid(Vec<u8>),
    /// A canonical name, such as `corp.example/Staff/Ada Lovelace`.
    Canonical {
        /// All of it.
        whole: &'a str,
        /// Its last part: the entry's own name, without escapes.
        last: String,
    },
    /// What people type: `user`, `user@suffix`, `DOMAIN\user`.
    Typed(&'a str),
    /// Nobody's name: too long, or with control characters.
    Nobody,
}

impl<'a> BindName<'a> {
    /// Takes a name apart. `ad`: whether the forms that only Active Directory has are meant.
    pub fn read(name: &'a str, ad: bool) -> Self {
        if name.len() > MAX_DN || name.chars().any(char::is_control) {
            return BindName::Nobody;
        }
        if ad && let Some(guid) = braced_guid(name).or_else(|| guid_octets(bracketed(name, "GUID")?)) {
            return BindName::Guid(guid);
        }
        if ad && let Some(sid) = sid(bracketed(name, "SID").unwrap_or(name)) {
            return BindName::Sid(sid);
        }
        if is_dn(name) {
            return BindName::Dn(name);
        }
        if ad && let Some(last) = canonical(name) {
            return BindName::Canonical { whole: name, last };
        }
        if name.len() > MAX_NAME { BindName::Nobody } else { BindName::Typed(name) }
    }
}

/// Whether a name looks like a distinguished one: an attribute's name or number, then `=`.
fn is_dn(name: &str) -> bool {
    let Some((attribute, _)) = name.split_once('=') else { return false };
    let attribute = attribute.trim();
    !attribute.is_empty() && attribute.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
}

fn braced_guid(name: &str) -> Option<[u8; 16]> {
    guid_octets(name.strip_prefix('{')?.strip_suffix('}')?)
}

/// What stands in `<KIND=…>` ([MS-ADTS] section 3.1.1.3.1.2.4).
fn bracketed<'a>(name: &'a str, kind: &str) -> Option<&'a str> {
    let (found, value) = name.strip_prefix('<')?.strip_suffix('>')?.split_once('=')?;
    found.eq_ignore_ascii_case(kind).then_some(value)
}

/// The octets of `S-1-5-21-…`: revision, count, authority in six octets, sub-authorities in four each, little-endian.
pub fn sid(name: &str) -> Option<Vec<u8>> {
    let mut parts = name.strip_prefix("S-").or_else(|| name.strip_prefix("s-"))?.split('-');
    let revision: u8 = parts.next()?.parse().ok()?;
    let authority: u64 = parts.next()?.parse().ok()?;
    let subs = parts.map(str::parse::<u32>).collect::<Result<Vec<_>, _>>().ok()?;
    let authority = authority.to_be_bytes();
    let [0, 0, authority @ ..] = authority else { return None };
    if revision != 1 || subs.is_empty() || subs.len() > MAX_SUB_AUTHORITIES {
        return None;
    }
    let mut octets = vec![revision, u8::try_from(subs.len()).ok()?];
    octets.extend(authority);
    octets.extend(subs.iter().flat_map(|sub| sub.to_le_bytes()));
    Some(octets)
}

/// The last part of a canonical name; a slash that belongs to a name is written `\/`.
fn canonical(name: &str) -> Option<String> {
    let (domain, _) = name.split_once('/')?;
    if !domain.contains('.') || domain.contains(['\\', '@', ' ']) {
        return None;
    }
    canonical_parts(name).pop().filter(|last| !last.is_empty())
}

/// The parts of a canonical name, without escapes. Directories differ in what they escape besides the slash: AD writes the
/// comma of `Lovelace, Ada` as it is, Samba with a backslash.
pub fn canonical_parts(name: &str) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for character in name.chars() {
        match character {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '/' if !escaped => parts.push(std::mem::take(&mut part)),
            _ => part.push(character),
        }
        escaped = false;
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_is_told_by_its_look() {
        let dn = "CN=Lovelace\\, Ada,OU=Staff,DC=corp,DC=example";
        assert_eq!(BindName::read(dn, true), BindName::Dn(dn));
        assert_eq!(BindName::read("uid=ada,dc=x", false), BindName::Dn("uid=ada,dc=x"));
        for typed in ["ada", "ada@corp.example", "CORP\\ada", "a/b", "S-1", "{x}"] {
            assert_eq!(BindName::read(typed, true), BindName::Typed(typed), "{typed}");
        }
        let last = |name| match BindName::read(name, true) {
            BindName::Canonical { last, .. } => last,
            other => panic!("{other:?}"),
        };
        assert_eq!(last("corp.example/Staff/Ada Lovelace"), "Ada Lovelace");
        assert_eq!(last("corp.example/Staff/a\\/b"), "a/b");
        assert_eq!(last("corp.example/Staff/Lovelace, Ada"), "Lovelace, Ada");
        for guid in ["{04030201-0605-0807-090A-0B0C0D0E0F10}", "<GUID=04030201-0605-0807-090a-0b0c0d0e0f10>"] {
            let octets = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
            assert_eq!(BindName::read(guid, true), BindName::Guid(octets), "{guid}");
        }
    }

    #[test]
    fn canonical_names_are_the_same_whatever_is_escaped() {
        let parts = ["corp.example", "Staff", "Lovelace, Ada"];
        assert_eq!(canonical_parts("corp.example/Staff/Lovelace, Ada"), parts);
        assert_eq!(canonical_parts("corp.example/Staff/Lovelace\\, Ada"), parts);
        assert_eq!(canonical_parts("corp.example/a\\/b"), ["corp.example", "a/b"]);
    }

    #[test]
    fn a_security_identifier_becomes_its_octets() {
        let octets = b"\x01\x05\0\0\0\0\0\x05\x15\0\0\0\x01\x02\x03\x04\x05\0\0\0\x06\0\0\0\x55\x04\0\0";
        for name in ["S-1-5-21-67305985-5-6-1109", "<SID=S-1-5-21-67305985-5-6-1109>"] {
            assert_eq!(BindName::read(name, true), BindName::Sid(octets.to_vec()));
        }
        for bad in ["S-2-5-21", "S-1-5", "S-1-5-x", "S-1-999999999999999-1", "S-1-5-4294967296"] {
            assert_eq!(BindName::read(bad, true), BindName::Typed(bad), "{bad}");
        }
    }

    #[test]
    fn other_directories_have_no_such_forms() {
        for name in ["{04030201-0605-0807-090A-0B0C0D0E0F10}", "S-1-5-21-1", "corp.example/Staff/Ada"] {
            assert_eq!(BindName::read(name, false), BindName::Typed(name));
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_nobodys() {
        assert_eq!(BindName::read("a\nb", true), BindName::Nobody);
        assert_eq!(BindName::read(&"x".repeat(257), true), BindName::Nobody);
        assert_eq!(BindName::read(&format!("cn={}", "x".repeat(MAX_DN)), true), BindName::Nobody);
    }

    proptest! {
        #[test]
        fn no_name_panics(name in "\\PC{0,60}", ad in any::<bool>()) {
            let _ = BindName::read(&name, ad);
        }
    }
}

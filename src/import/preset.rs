//! Where the facts about a person are, directory by directory: the filters and attributes that the old server
//! started with for Active Directory, and what OpenLDAP and 389 Directory Server have in their place. Pure.

use crate::config::import::{AttributeMap, IdKind, Preset};

/// The bit of userAccountControl that disables an account (MS-ADTS section 2.2.16).
const ACCOUNT_DISABLE: u32 = 2;
/// What OpenLDAP's password policy writes for an account that an admin has locked for good
/// (draft-behera-ldap-password-policy section 5.3.3).
const LOCKED_FOR_GOOD: &str = "000001010000Z";

/// The attribute map that a preset starts with.
pub fn attributes(preset: Preset) -> AttributeMap {
    let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    match preset {
        Preset::Ad => AttributeMap {
            people: "(&(objectClass=user)(objectCategory=person))".into(),
            groups: "(&(objectCategory=group)(groupType:1.2.840.113556.1.4.804:=2147483648))".into(),
            unique_id: "objectGUID".into(),
            unique_id_kind: IdKind::Guid,
            user_name: list(&["userPrincipalName", "sAMAccountName"]),
            aliases: Vec::new(),
            first_name: list(&["givenName"]),
            last_name: list(&["sn"]),
            email: list(&["mail"]),
            phone: list(&["mobile", "telephoneNumber"]),
            backup_phone: list(&["homePhone"]),
            extension: Vec::new(),
            language: list(&["preferredLanguage"]),
            group: Vec::new(),
            description: list(&["description"]),
        },
        Preset::OpenLdap | Preset::Ds389 => AttributeMap {
            people: match preset {
                Preset::Ds389 => "(|(objectClass=inetOrgPerson)(objectClass=posixAccount))".into(),
                _ => "(objectClass=inetOrgPerson)".into(),
            },
            groups: "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))".into(),
            unique_id: match preset {
                Preset::Ds389 => "nsUniqueId".into(),
                _ => "entryUUID".into(),
            },
            unique_id_kind: IdKind::Text,
            user_name: list(&["uid"]),
            aliases: Vec::new(),
            first_name: list(&["givenName"]),
            last_name: list(&["sn"]),
            email: list(&["mail"]),
            phone: list(&["mobile", "telephoneNumber"]),
            backup_phone: list(&["homePhone"]),
            extension: Vec::new(),
            language: list(&["preferredLanguage"]),
            group: Vec::new(),
            description: list(&["description"]),
        },
    }
}

/// The attribute that says whether an account is disabled.
pub fn disabled_attribute(preset: Preset) -> &'static str {
    match preset {
        Preset::Ad => "userAccountControl",
        Preset::OpenLdap => "pwdAccountLockedTime",
        Preset::Ds389 => "nsAccountLock",
    }
}

/// Whether this value of [`disabled_attribute`] means that the account is disabled. A value that is not there
/// or not understood disables nobody: whether such an account may sign in is the directory's own decision.
pub fn is_disabled(preset: Preset, value: Option<&str>) -> bool {
    match (preset, value) {
        (_, None) => false,
        (Preset::Ad, Some(text)) => text.parse::<i64>().is_ok_and(|flags| flags & i64::from(ACCOUNT_DISABLE) != 0),
        (Preset::OpenLdap, Some(text)) => text == LOCKED_FOR_GOOD,
        (Preset::Ds389, Some(text)) => text.eq_ignore_ascii_case("true"),
    }
}

/// The attributes in which groups of the directory list their members.
pub fn member_attributes(preset: Preset) -> &'static [&'static str] {
    match preset {
        Preset::Ad => &["member"],
        Preset::OpenLdap | Preset::Ds389 => &["member", "uniqueMember", "memberUid"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::filter::Filter;

    #[test]
    fn every_filter_of_a_preset_can_be_read() {
        for preset in [Preset::Ad, Preset::OpenLdap, Preset::Ds389] {
            let map = attributes(preset);
            for filter in [map.people, map.groups] {
                assert!(Filter::parse(&filter).is_ok(), "{filter}");
            }
        }
    }

    #[test]
    fn a_disabled_account_is_told_by_each_directory_in_its_own_way() {
        assert!(is_disabled(Preset::Ad, Some("514")));
        assert!(is_disabled(Preset::Ad, Some("66050")));
        assert!(!is_disabled(Preset::Ad, Some("512")));
        assert!(!is_disabled(Preset::Ad, Some("not a number")));
        assert!(is_disabled(Preset::OpenLdap, Some("000001010000Z")));
        assert!(!is_disabled(Preset::OpenLdap, Some("20260101000000Z")), "locked for a time by wrong passwords");
        assert!(is_disabled(Preset::Ds389, Some("TRUE")));
        assert!(!is_disabled(Preset::Ds389, Some("false")));
        for preset in [Preset::Ad, Preset::OpenLdap, Preset::Ds389] {
            assert!(!is_disabled(preset, None));
        }
    }
}

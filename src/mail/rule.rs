//! Who is written to: what the mail rule of a sync item makes of a change. Pure.

use crate::config::import::MailRule;
use crate::import::plan::Decision;
use crate::users::letters::LetterKind;
use crate::users::model::{Method, Person};
use crate::users::profile::{Field, Profile};

/// The fields whose change people are told: those that decide how and under which name they sign in.
const TOLD: [Field; 7] =
    [Field::Name, Field::Upn, Field::Email, Field::Phone, Field::BackupPhone, Field::Method, Field::Mode];

/// Where a person is written to: their address, or their login name where that is one.
pub fn address(person: &Person) -> Option<&str> {
    let names = [person.email.as_deref(), person.upn.as_deref(), Some(person.name.as_str())];
    names.into_iter().flatten().find(|text| super::is_address(text) && !text.contains('<'))
}

/// Whether a person takes part, can be asked, and can be written to.
fn is_ready(profile: &Profile) -> bool {
    let person = &profile.person;
    let needs_phone = matches!(person.method, Method::Call | Method::SmsReply | Method::SmsCode);
    person.enabled && (!needs_phone || person.phone.is_some()) && address(person).is_some()
}

/// Which mail a decision asks for.
///
/// `new` is for somebody who becomes ready: who comes, is enabled, or gets the phone that was missing. `updated` is for
/// somebody who was ready, and of whom something has changed that they should know.
pub fn letter(rule: MailRule, decision: &Decision) -> Option<LetterKind> {
    match decision {
        _ if rule == MailRule::None => None,
        Decision::Add(profile) => is_ready(profile).then_some(LetterKind::New),
        Decision::Change(change) if !is_ready(&change.after) => None,
        Decision::Change(change) if !is_ready(&change.before) => Some(LetterKind::New),
        Decision::Change(change) => {
            let told = change.fields.iter().any(|field| TOLD.contains(&field));
            (rule == MailRule::NewAndUpdated && told).then_some(LetterKind::Updated)
        }
        Decision::Touch(_) | Decision::Keep | Decision::Skip(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::plan::Change;

    fn profile() -> Profile {
        let mut profile =
            Profile::new(Person { email: Some("alice@corp.example".into()), ..Person::bare("id", "alice") });
        profile.item = Some("staff".into());
        profile
    }

    fn with(change: impl Fn(&mut Profile)) -> Profile {
        let mut profile = profile();
        change(&mut profile);
        profile
    }

    fn changed(before: Profile, after: Profile) -> Decision {
        let fields = after.differing(&before);
        Decision::Change(Box::new(Change { before, after, fields, disables: false }))
    }

    fn added(profile: Profile) -> Decision {
        Decision::Add(Box::new(profile))
    }

    #[test]
    fn who_comes_enabled_and_complete_is_welcomed() {
        let new = |profile| letter(MailRule::New, &added(profile));
        assert_eq!(new(profile()), Some(LetterKind::New));
        assert_eq!(letter(MailRule::None, &added(profile())), None);
        assert_eq!(new(with(|one| one.person.enabled = false)), None);
        assert_eq!(new(with(|one| one.person.email = None)), None, "nowhere to write to");
        let by_name = with(|one| (one.person.email, one.person.upn) = (None, Some("alice@corp.example".into())));
        assert_eq!(new(by_name), Some(LetterKind::New), "the login name is an address");
        assert_eq!(new(with(|one| one.person.method = Method::Call)), None, "no phone to call");
        let with_phone =
            with(|one| (one.person.method, one.person.phone) = (Method::Call, Some("+12025550111".into())));
        assert_eq!(new(with_phone), Some(LetterKind::New));
    }

    #[test]
    fn who_becomes_ready_later_is_welcomed_then() {
        let disabled = || with(|one| one.person.enabled = false);
        assert_eq!(letter(MailRule::New, &changed(disabled(), profile())), Some(LetterKind::New));
        assert_eq!(letter(MailRule::NewAndUpdated, &changed(profile(), disabled())), None, "not who leaves");
        let call = |phone: Option<&str>| {
            with(|one| (one.person.method, one.person.phone) = (Method::Call, phone.map(str::to_owned)))
        };
        let got_phone = changed(call(None), call(Some("+12025550111")));
        assert_eq!(letter(MailRule::New, &got_phone), Some(LetterKind::New));
    }

    #[test]
    fn a_change_is_told_where_the_item_says_so_and_it_matters() {
        let moved = || changed(profile(), with(|one| one.person.dn = Some("CN=alice".into())));
        let phone = || changed(profile(), with(|one| one.person.phone = Some("+12025550111".into())));
        assert_eq!(letter(MailRule::New, &phone()), None);
        assert_eq!(letter(MailRule::NewAndUpdated, &phone()), Some(LetterKind::Updated));
        assert_eq!(letter(MailRule::NewAndUpdated, &moved()), None, "nobody's business but the directory's");
        assert_eq!(letter(MailRule::NewAndUpdated, &Decision::Touch(Box::new(profile()))), None);
    }
}

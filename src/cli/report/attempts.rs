//! Reports of which a row is a sign-in.

use std::io::Write;
use std::time::SystemTime;

use super::codes::old_code;
use super::people::{PERSON, People};
use super::table::Rows;
use super::{Args, What};
use crate::cli::Failure;
use crate::signin::outcome::Reason;
use crate::users::events::{After, EventRecord, Wanted};
use crate::users::roster::Roster;

/// Rows read at once.
pub(super) const PAGE: u32 = 1000;

/// The fields of an attempt, in the words of the audit; `code` is the old server's.
const ATTEMPT: [&str; 17] = [
    "time",
    "user",
    "name",
    "client",
    "application",
    "door",
    "method",
    "provider",
    "verdict",
    "reason",
    "code",
    "rule",
    "source",
    "person_address",
    "server",
    "sign_in",
    "earlier",
];

/// Whether a sign-in that ended so was kept out after its password was right, or was kept from guessing one.
#[expect(clippy::too_many_lines, reason = "each reason is named, so that a new one is decided on")]
pub(super) fn keeps_out(reason: Reason) -> bool {
    match reason {
        Reason::ConnectionDenied
        | Reason::NoConnectionPolicy
        | Reason::NotEnrolled
        | Reason::UserDisabled
        | Reason::Blocked
        | Reason::RuleRefused
        | Reason::RuleUndecided
        | Reason::ReplyUndecided
        | Reason::ReplyUnfit
        | Reason::NoMethod
        | Reason::ThrottledPerson
        | Reason::ThrottledSource
        | Reason::PromptLimited
        | Reason::Denied
        | Reason::Fraud
        | Reason::Expired
        | Reason::Undeliverable
        | Reason::NeedsCode
        | Reason::WrongCode
        | Reason::WrongPin
        | Reason::PinDue
        | Reason::NoPin
        | Reason::PinLocked
        | Reason::NeedsPin
        | Reason::ProviderUnreachable
        | Reason::ProviderLost
        | Reason::ProviderRefused
        | Reason::ProviderGarbled
        | Reason::ProviderUnknownPerson
        | Reason::ProviderNoMethod
        | Reason::ProviderLocked
        | Reason::ProviderBypassed
        | Reason::ChallengeExpired
        | Reason::StateForeign
        | Reason::StateUsed
        | Reason::StateElsewhere
        | Reason::Deadline
        | Reason::OverHeldPerson => true,
        Reason::Approved
        | Reason::ExemptUser
        | Reason::ExemptGroup
        | Reason::ExemptNetwork
        | Reason::NotEnrolledExempt
        | Reason::UserDisabledExempt
        | Reason::ProviderUnreachableExempt
        | Reason::ProviderBypassExempt
        | Reason::ServiceAccount
        | Reason::RememberedApproval
        | Reason::CachedApproval
        | Reason::RuleSkipped
        | Reason::OneTimeBypass
        | Reason::SaslRelayed
        | Reason::Challenged
        // The primary credential, of which the old server's reports knew nothing either.
        | Reason::NoPassword
        | Reason::BrokenEap
        | Reason::UnwantedPassword
        | Reason::EmptyPassword
        | Reason::BadName
        | Reason::BadPassword
        | Reason::UnknownUser
        | Reason::AmbiguousUser
        | Reason::WrongPassword
        | Reason::LogonHours
        | Reason::Workstation
        | Reason::PasswordExpired
        | Reason::AccountDisabled
        | Reason::AccountExpired
        | Reason::MustChangePassword
        | Reason::NewPasswordRefused
        | Reason::AccountLocked
        | Reason::AccountRestricted
        | Reason::OtherPerson
        | Reason::UnnamedPerson
        | Reason::TargetAsksMore
        | Reason::RequestLoop
        | Reason::DirectoryUnreachable
        | Reason::DirectoryRefused
        | Reason::DirectoryGarbled
        | Reason::ClientGone
        | Reason::OverHeld
        | Reason::OverHeldClient
        | Reason::Overloaded
        | Reason::StoreUnavailable
        | Reason::ShuttingDown
        | Reason::Internal => false,
    }
}

/// The reasons that a report asks for; none: all.
fn reasons(what: What) -> Vec<String> {
    let wanted = |reason: &Reason| match what {
        What::Denials => keeps_out(*reason),
        What::Cache => matches!(reason, Reason::CachedApproval | Reason::RememberedApproval | Reason::Approved),
        _ => false,
    };
    Reason::ALL.iter().filter(|reason| wanted(reason)).map(|reason| reason.code().to_owned()).collect()
}

/// Each page of the sign-ins of the period that are wanted.
pub(super) async fn pages(
    args: &Args,
    store: &dyn Roster,
    (since, until): (SystemTime, SystemTime),
    mut take: impl AsyncFnMut(&[EventRecord]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let wanted = Wanted {
        until: Some(until),
        client: args.client.clone(),
        user: args.user.clone(),
        reasons: reasons(args.what),
        ..Wanted::default()
    };
    let mut after = After::Time(since, -1);
    loop {
        let page = store.events(&wanted, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = After::Time(last.time, last.id);
        take(&page).await?;
    }
}

/// Writes a row for each.
pub(super) async fn write(
    args: &Args,
    store: &dyn Roster,
    period: (SystemTime, SystemTime),
    out: &mut impl Write,
) -> Result<(), Failure> {
    let columns: Vec<&'static str> = ATTEMPT.iter().chain(PERSON.iter().filter(|_| args.person)).copied().collect();
    let mut rows = Rows::new(out, args.format, columns);
    pages(args, store, period, async |page| {
        let people = if args.person {
            Some(People::of(store, page.iter().map(|event| event.unique_id.as_ref())).await?)
        } else {
            None
        };
        for event in page.iter().filter(|event| args.what != What::Cache || is_cached(event)) {
            let mut cells = attempt(event);
            cells.extend(people.iter().flat_map(|people| people.cells(event.unique_id.as_ref())));
            rows.row(cells)?;
        }
        Ok(())
    })
    .await?;
    rows.end()?;
    Ok(())
}

fn is_cached(event: &EventRecord) -> bool {
    event.reason != Reason::Approved.code() || event.factor.as_deref() == Some("carried_over")
}

fn attempt(event: &EventRecord) -> Vec<Option<String>> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        some(&event.time_text()),
        event.account.clone(),
        some(&event.name),
        some(&event.client),
        some(&event.application),
        some(&event.door),
        event.method.clone(),
        event.provider.clone(),
        some(&event.verdict),
        some(&event.reason),
        Some(old_code(event)).filter(|code| !code.is_empty()).map(str::to_owned),
        event.rule.clone(),
        some(&event.source),
        event.person_address.clone(),
        some(&event.server),
        some(&event.sign_in),
        event.earlier.clone(),
    ]
}

//! The backup phone: called, or sent the text, once, after the first could not be reached, and never beside it.

use std::sync::Arc;

use crate::factor::{self, Factor, FactorApproved, Refusal};
use crate::signin::route::Asking;
use crate::users::model::{Method, Person};

/// Tells the second request of a sign-in from the first; further rounds have smaller numbers.
const SECOND: u8 = 0x80;

/// Whether a backup phone could be asked after this.
pub(super) fn may_follow(provider: &dyn Factor, method: Method) -> bool {
    matches!(method, Method::Call | Method::SmsReply) && provider.takes_number()
}

/// Asks on the person's backup phone. `None`: they have none, or it is the same one.
pub(super) async fn ask(
    provider: &dyn Factor,
    asking: Asking,
    method: Method,
) -> Option<Result<FactorApproved, Refusal>> {
    let roster = Arc::clone(asking.roster.as_ref()?);
    let profile = roster.profile(&asking.person.unique_id).await;
    let profile =
        profile.inspect_err(|error| tracing::warn!(%error, "it cannot be said who has a backup phone")).ok()??;
    let phone = profile.backup_phone.filter(|phone| Some(phone) != asking.person.phone.as_ref())?;
    tracing::info!(sign_in = %asking.sign_in, provider = provider.name(), "the backup phone is asked");
    let person =
        Person { phone: Some(phone), phone_extension: profile.backup_extension, ..Person::clone(&asking.person) };
    let asking = Asking { sign_in: asking.sign_in.of_round(SECOND), person: Arc::new(person), ..asking };
    Some(factor::ask(provider, asking.request(method)).await)
}

//! Codes that this house makes, sends and checks: by text message through a gateway, or by e-mail.
//!
//! ```text
//! no code typed ─ too many sent? ─ random code, sealed into the store ─ gateway ─► needs a code
//!                                                                        └ not deliverable: the backup phone
//! code typed ─ store: try_sent (counts) ─ opened, compared ─ store: use_sent (once for all nodes) ─► approved
//! ```
//!
//! What was sent is known to every node: the code may be typed at another than the one that sent it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use crate::config::codes::CodesProvider;
use crate::factor::codes::gateway::{Gateway, Message};
use crate::factor::http::BuildError;
use crate::factor::local::House;
use crate::factor::local::split::{PinSide, split};
use crate::factor::{Answer, Described, Factor, Health, Provider, Refusal, Request, Trouble};
use crate::secret::Secret;
use crate::users::codes::fresh;
use crate::users::model::{Method, Mode, Person};
use crate::users::pins::{self, PinVerdict};
use crate::users::sealed::Sealed;
use crate::users::store::StoreError;
use crate::users::typed::SentCode;

mod gateway;
pub mod template;

/// What a sent code is sealed as.
const SENT: &str = "sent code";

/// A provider that sends codes of its own.
pub struct Codes {
    described: Described,
    house: House,
    gateway: Gateway,
    /// How the codes go out.
    method: Method,
    config: Arc<CodesProvider>,
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codes").field("name", &self.described.name()).finish_non_exhaustive()
    }
}

impl Codes {
    /// Of a section, over a store.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: &Arc<CodesProvider>, house: House) -> Result<Self, BuildError> {
        let gateway = Gateway::new(config)?;
        Ok(Codes {
            described: Described::codes(config),
            house,
            gateway,
            method: config.via.method(),
            config: Arc::clone(config),
        })
    }

    fn lost(&self, error: &StoreError, what: &str) -> Refusal {
        tracing::error!(provider = self.name(), %error, "{what}");
        Refusal::Lost
    }

    /// Where a person's codes go: the address that is tried first, and the backup phone.
    async fn addresses(&self, person: &Person) -> Result<Vec<String>, Refusal> {
        if self.method == Method::EmailCode {
            return Ok(person.email.clone().into_iter().collect());
        }
        let profile = self.house.roster.profile(&person.unique_id).await;
        let profile = profile.map_err(|error| self.lost(&error, "a person cannot be read"))?;
        let backup = profile.and_then(|profile| profile.backup_phone);
        Ok(person.phone.clone().into_iter().chain(backup).collect())
    }

    async fn send(&self, request: &Request) -> Result<(), Refusal> {
        let person = &request.person;
        let addresses = self.addresses(person).await?;
        if addresses.is_empty() {
            return Err(Refusal::NotThisWay);
        }
        let code = fresh(self.config.digits).map_err(|why| {
            tracing::error!(provider = self.name(), why, "no code can be made");
            Refusal::Misconfigured
        })?;
        let identity = [person.unique_id.as_str(), self.name()];
        let sealed = self.house.keys.seal(SENT, &identity, &code).map_err(|error| {
            tracing::error!(provider = self.name(), %error, "a code cannot be sealed");
            Refusal::Misconfigured
        })?;
        let now = (self.house.clock)();
        let may = self.house.roster.begin_sent(&person.unique_id, self.name(), &sealed, self.config.sending, now).await;
        if !may.map_err(|error| self.lost(&error, "a code cannot be kept, so none is sent"))? {
            return Err(Refusal::TooOften);
        }
        let sent = self.bring(request, &addresses, &code).await;
        if matches!(sent, Err(Refusal::Undeliverable | Refusal::Misconfigured | Refusal::Unreachable(_))) {
            // Nobody has it: it is void.
            let void = self.house.roster.use_sent(&person.unique_id, self.name(), &sealed).await;
            void.map_err(|error| self.lost(&error, "a code that was not sent cannot be taken back"))?;
        }
        sent
    }

    async fn bring(&self, request: &Request, addresses: &[String], code: &Secret) -> Result<(), Refusal> {
        let code = Zeroizing::new(String::from_utf8_lossy(code.open()).into_owned());
        let text = self.config.text.replace("{code}", &code).replace("{application}", &request.application);
        let text = Zeroizing::new(text);
        let mut answer = Err(Refusal::Undeliverable);
        for to in addresses {
            let left = request.deadline.saturating_duration_since(tokio::time::Instant::now().into_std());
            let message = Message { to, code: &code, text: &text, application: &request.application };
            answer = self.gateway.send(&message, left.max(Duration::from_millis(1))).await;
            if answer != Err(Refusal::Undeliverable) {
                break;
            }
        }
        answer
    }

    /// The code of what was typed, once the PIN beside it was right where one goes with it.
    async fn without_pin(&self, request: &Request, typed: &Secret) -> Result<Secret, Refusal> {
        let person = &*request.person;
        let parts = split(typed, self.config.digits, PinSide::Before).filter(|_| person.mode == Mode::Pin);
        if person.mode == Mode::Standard || request.pin_passed() {
            // Who has just changed the PIN that they typed with the code need not type the code again.
            return Ok(parts.map_or_else(|| typed.duplicate(), |(_, code)| code));
        }
        let (pin, code) = parts.ok_or(Refusal::NeedsPin)?;
        let (now, house) = ((self.house.clock)(), &self.house);
        let checked = pins::check(&*house.roster, &person.unique_id, &pin, &house.pins, now).await;
        match checked.map_err(|error| self.lost(&error, "a PIN cannot be read"))? {
            Ok(_) => Ok(code),
            Err(PinVerdict::MustChange) => Err(Refusal::PinDue),
            Err(PinVerdict::NoPin) => Err(Refusal::NoPin),
            Err(PinVerdict::Locked) => Err(Refusal::PinLocked),
            Err(PinVerdict::Wrong | PinVerdict::Right) => Err(Refusal::WrongPin),
        }
    }

    async fn check(&self, request: &Request, typed: &Secret) -> Result<(), Refusal> {
        let (person, roster) = (&*request.person, &self.house.roster);
        let typed = self.without_pin(request, typed).await?;
        let now = (self.house.clock)();
        let sent = roster.try_sent(&person.unique_id, self.name(), now).await;
        let sealed: Sealed = match sent.map_err(|error| self.lost(&error, "a sent code cannot be read"))? {
            SentCode::Nothing => return Err(Refusal::NotThisWay),
            SentCode::TriedOut => return Err(Refusal::LockedThere),
            SentCode::Sealed(sealed) => sealed,
        };
        let identity = [person.unique_id.as_str(), self.name()];
        let code = self.house.keys.open_sealed(SENT, &identity, &sealed).map_err(|error| {
            tracing::error!(provider = self.name(), %error, "a sent code cannot be opened");
            Refusal::Misconfigured
        })?;
        if !code.matches(typed.open()) {
            return Err(Refusal::WrongCode);
        }
        let used = roster.use_sent(&person.unique_id, self.name(), &sealed).await;
        match used.map_err(|error| self.lost(&error, "a code cannot be used up, so it does not count"))? {
            true => Ok(()),
            // Somebody was quicker with the same code.
            false => Err(Refusal::UsedCode),
        }
    }
}

impl Factor for Codes {
    fn name(&self) -> &str {
        self.described.name()
    }

    fn described(&self) -> Option<&Described> {
        Some(&self.described)
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            if let Some(code) = &request.code {
                if request.before().is_some() {
                    return Answer::Refused(Refusal::NotThisWay);
                }
                return match self.check(&request, code).await {
                    Ok(()) => Answer::ApprovedBy(self.method),
                    Err(refusal) => Answer::Refused(refusal),
                };
            }
            if request.method != self.method {
                return Answer::Refused(Refusal::NotThisWay);
            }
            if !request.can_type {
                return Answer::Refused(Refusal::NeedsCode);
            }
            Answer::Refused(match self.send(&request).await {
                Ok(()) => {
                    if let Some(tell) = &request.tell {
                        tell.code_sent();
                    }
                    Refusal::NeedsCode
                }
                Err(refusal) => refusal,
            })
        })
    }
}

impl Provider for Codes {
    fn probe(&self) -> BoxFuture<'_, Result<Health, Trouble>> {
        Box::pin(self.gateway.probe())
    }

    fn connections(&self) -> u64 {
        self.gateway.connections()
    }
}

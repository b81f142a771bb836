//! The heart: what happens to a sign-in, whatever door it came through.
//!
//! ```text
//! Attempt ─ enter: identify ─ join a pending hold?  ──yes──▶ wait for its outcome
//!                               │ no: lead
//!                               ▼
//!           flow: throttle ─ primary ─ policy ─ factor (hold) ─▶ Outcome ─▶ audit ─▶ every waiter
//! ```
//!
//! Nothing here knows RADIUS or LDAP, and nothing here knows a provider or a directory: they come in as
//! [`crate::primary::Primary`], [`crate::factor::Factor`] and [`crate::users::store::Store`].

mod answering;
mod approved;
mod asking;
pub mod attempt;
mod authorizing;
mod backup;
pub mod caching;
mod carried;
pub mod challenge;
mod ending;
pub mod explain;
pub mod flow;
mod keeping;
mod known;
mod measure;
pub mod moving;
pub mod nodes;
pub mod outcome;
pub mod passcode;
mod passing;
pub mod pending;
mod pinning;
pub mod policy;
mod prompting;
pub mod proof;
mod reasons;
pub mod reception;
mod relayed;
mod replies;
mod room;
mod rounds;
pub mod route;
pub mod rules;
mod ruling;
mod settling;
pub mod standing;
mod taken;
pub mod throttle;
mod together;
mod trying;
pub mod waiting;

#[cfg(test)]
pub(crate) mod testing;

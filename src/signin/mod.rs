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
mod asking;
pub mod attempt;
mod authorizing;
mod backup;
mod carried;
pub mod challenge;
pub mod explain;
pub mod flow;
mod keeping;
mod measure;
pub mod moving;
pub mod outcome;
pub mod passcode;
pub mod pending;
mod pinning;
pub mod policy;
mod prompting;
pub mod proof;
pub mod reception;
mod rounds;
pub mod route;
pub mod rules;
mod ruling;
mod settling;
pub mod standing;
pub mod throttle;
mod trying;
pub mod waiting;

#[cfg(test)]
pub(crate) mod testing;

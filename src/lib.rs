//! Anteroom: a RADIUS and LDAP authentication proxy that checks the primary credential, *holds* the
//! request while the person proves a second factor, and only then answers.
//!
//! The guided tour, in reading order. A datagram takes this way and no other:
//!
//! ```text
//! radius::listener  receives            ─┐
//! radius::packet    decodes              │ pure: bytes in, value out
//! radius::authenticator  verifies        │
//! radius::duplicates     new, running or answered
//! radius::door      makes an Attempt    ─┘
//! signin::attempt   a value that knows no protocol
//! signin::pending   joins the hold that is already running, or leads a new one
//! signin::flow      throttle → primary → policy → factor (hold) → outcome
//! audit             one record, one line, one count
//! radius::door      encodes and signs   → socket
//! ```
//!
//! * [`secret`]: the one type for passwords, keys and codes.
//! * [`texts`]: what people read, in their language.
//! * [`tls`]: TLS as every door and connection has it.
//! * [`config`]: the configuration as written and as checked.
//! * [`radius`]: the RADIUS door (RFC 2865, 2866, 2869, 3579, 5080, 5997).
//! * [`ldap`]: LDAP framing (RFC 4511) and the connections to a directory.
//! * [`signin`]: the heart: attempt, flow, proof, outcome, policy, pending, throttle.
//! * [`primary`]: where the first credential is checked.
//! * [`factor`]: where the second proof comes from.
//! * [`users`]: the local database of enrolled people.
//! * [`import`]: fills it from directories and files.
//! * [`migrate`]: turns other products' configurations into ours.
//! * [`mail`]: writes to people and administrators.
//! * [`audit`]: the single ending of a sign-in.
//! * [`telemetry`]: logs, metrics, health.
//! * [`app`]: builds everything from the configuration; start, drain, stop.
//! * [`control`]: the local channel by which commands reach the running server.
//! * [`demo`]: the embedded directory and phone simulator of `anteroom demo`.
//! * [`simulate`]: the clouds of `anteroom simulate`.
//! * [`cli`]: one file per command.

pub mod secret;

pub mod texts;

pub mod tls;

pub mod config;

pub mod radius;

pub mod ldap;

pub mod signin;

pub mod primary;

pub mod factor;

pub mod users;

pub mod import;

pub mod migrate;

pub mod mail;

pub mod audit;

pub mod telemetry;

pub mod app;

pub mod control;

pub mod demo;

pub mod simulate;

pub mod cli;

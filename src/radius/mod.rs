//! The RADIUS door: Access-Request, Status-Server and Accounting-Request over UDP
//! (RFC 2865, 2866, 2869, 3579, 5080, 5997).
//!
//! ```text
//! datagram → clients (who sends?) → rates → packet (bounds) → duplicates (seen before?)
//!          → authenticator (signed? yields Verified) → door (Attempt)      … the sign-in is held …
//! reply    ← duplicates (kept for retransmissions) ← door (encode, sign) ← Outcome
//! ```
//!
//! Over TLS (RFC 6614) packets come in a stream ([`framing`]) and a client is known by its [`certificate`]; the door is
//! the same.
//!
//! Everything but [`listener`], [`client`], [`pool`] and [`spool`] is pure: bytes, `now` and randomness are arguments.
//!
//! Where a client's target is RADIUS servers, its request goes on, and their reply comes back:
//!
//! ```text
//! Verified → onward (which attributes, hidden anew) → pool (sockets, identifiers) → server of the target
//! reply to the client ← said (attributes, keys sealed anew) ←         … held …    ← verified reply
//! ```
//!
//! What the door refuses, always in silence: packets from unknown addresses, malformed packets, wrong or
//! missing signatures (CVE-2024-3596), packets over the source's rate. Each cause is counted
//! ([`discard::Discarded`]) and logged without content at a bounded rate. What is authentic but cannot be
//! tried (no password, a broken name) becomes an attempt all the same, and ends in an audited reject.

pub mod accounting;
pub mod attribute;
pub mod authenticator;
pub mod certificate;
pub mod changes;
pub mod client;
pub mod clients;
pub mod dictionary;
pub mod discard;
pub mod door;
pub mod duplicates;
pub mod eap;
pub mod framing;
pub mod gateway;
pub mod listener;
pub mod mschap;
pub mod onward;
pub mod packet;
pub mod password;
pub mod pool;
pub mod rates;
pub mod reply;
pub mod reported;
pub mod said;
mod salted;
pub mod spool;
pub mod template;

#[cfg(test)]
pub(crate) mod testing;

//! LDAP (RFC 4511): framing and messages, and the connections to a directory.
//!
//! ```text
//! ber       elements: a reader that copies nothing, a writer
//! message   where a message ends, whether it is well formed, where its parts lie
//! bind      the bind operation; the one place that believes a directory's yes
//! search    the search operation
//! control   controls: pages, DirSync
//! filter    search filters
//! result    result codes, AD's sub-codes, the small operations
//! pool      connections: TLS, health, one operation at a time
//! ```
//!
//! All but `pool` is pure: octets in, values out. What comes from a peer is framed and
//! validated in `message` before anything else looks at it.

pub mod ber;
pub mod bind;
pub mod control;
pub mod filter;
pub mod message;
pub mod pool;
pub mod result;
pub mod search;

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
//! session   the door: one client's connection; message in, step out
//! root      the rootDSE as it is true through the door
//! verdict   what an application hears of a refused bind
//! proxy     the header of a balancer
//! clients   whose connection it is
//! listener  the door's sockets
//! relay     a client's connection and its directory connection
//! pool      connections to a directory: TLS, health, one operation at a time
//! ```
//!
//! All but `listener`, `relay` and `pool` is pure: octets in, values out. What comes from a peer is framed and
//! validated in `message` before anything else looks at it.

pub mod ber;
pub mod bind;
pub mod clients;
pub mod control;
pub mod filter;
pub mod listener;
pub mod message;
pub mod pool;
pub mod proxy;
pub mod relay;
pub mod result;
pub mod root;
pub mod search;
pub mod session;
pub mod shed;
pub mod verdict;

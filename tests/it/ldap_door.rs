//! The LDAP door against the demo's directory and phones: what an application notices, and what the directory and the
//! phone notice of it.

mod bounds;
mod client;
mod failover;
mod holding;
mod orders;
mod own_house;
mod programs;
mod refusing;
mod samba;
mod serving;

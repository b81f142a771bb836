//! Filling the user store: from directories, once or on a schedule, and from files.
//!
//! ```text
//! item ─ scope ─▶ searches ─ reader ─▶ entries ─ entry ─▶ candidates ┐
//!                                                 known: who is there ├─ plan ─▶ decisions ─ pass ─▶ store
//! CSV, PSKC, otpauth:// ─ csv, tokens ───────────────────────────────┘
//! ```
//!
//! * [`preset`]: filters and attributes, directory by directory.
//! * [`scope`]: which searches an item becomes.
//! * [`entry`]: from an entry to a person.
//! * [`known`]: who is in the store, small.
//! * [`plan`]: what would be done, person by person, as values.
//! * [`mark`], [`changes`]: where the next pass goes on, and what has changed since.
//! * [`reader`]: talks to the directories.
//! * [`pass`]: one whole import: read, compare, stage, stop for safety, finish. [`held`] is what waits for an
//!   administrator.
//! * [`spool`]: sorts what a pass is about to write.
//! * [`schedule`]: passes from start to start, on one node.
//! * [`csv`], [`tokens`], [`pskc`], [`otpauth`]: files.
//!
//! Nothing counts before all of it counts: what a pass writes becomes visible in one short step at its end, and
//! an answer that was cut short, or is suddenly empty, ends the pass with an error.

pub mod applying;
pub mod changes;
pub mod csv;
pub mod entry;
pub mod files;
pub mod held;
pub mod known;
pub mod mark;
pub mod otpauth;
pub mod pass;
pub mod plan;
pub mod preset;
pub mod progress;
pub mod pskc;
pub mod reader;
pub mod schedule;
pub mod scope;
pub mod spool;
pub mod tokens;

#[cfg(test)]
pub(crate) mod testing;

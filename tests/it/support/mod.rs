//! What several promises share.

pub(crate) mod fakes;

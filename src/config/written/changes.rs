//! `[radius.changes]` as written.

use serde::Deserialize;

use super::super::values::OneOrMany;

/// `[radius.changes]`: CoA and Disconnect.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct Changes {
    pub listen: Option<OneOrMany>,
    pub relay: Vec<ChangeRelay>,
}

/// `[[radius.changes.relay]]`: from one target to one client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct ChangeRelay {
    pub target: Option<String>,
    pub client: Option<String>,
    pub to: Option<String>,
}

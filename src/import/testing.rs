//! What the tests of this folder share: a plain import with plain items.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use crate::config::import::{
    DisabledAccounts, EnabledRule, Import, ImportItem, ImportScope, Incremental, Leavers, MailRule, Preset,
};
use crate::import::preset;
use crate::users::model::{Method, Mode};

/// An item that reads a unit of an Active Directory.
pub(crate) fn item(name: &str) -> ImportItem {
    ImportItem {
        name: name.into(),
        target: "corp".into(),
        scope: ImportScope::Ou { dn: "OU=People,DC=corp".into(), subtree: true },
        filter: None,
        preset: Preset::Ad,
        attributes: preset::attributes(Preset::Ad),
        add: true,
        update: true,
        leavers: Leavers::Disable,
        disabled_accounts: DisabledAccounts::Disable,
        method: Method::Push,
        mode: Mode::Standard,
        language: "en".into(),
        enabled: EnabledRule::All,
        mail: MailRule::None,
        follow_referrals: false,
    }
}

/// An import of these items.
pub(crate) fn import(items: Vec<ImportItem>) -> Import {
    Import {
        interval: None,
        incremental: Incremental::Auto,
        full_every: Duration::from_secs(86_400),
        stop_above: 5,
        stop_above_percent: None,
        quarantine: Duration::from_secs(30 * 86_400),
        region: Some("US".into()),
        patience: Duration::from_secs(30),
        page: 1000,
        items,
    }
}

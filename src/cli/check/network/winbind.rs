//! Whether MS-CHAP can be checked: the helper is there, starts, and winbind answers it.

use std::time::Instant;

use super::Finding;
use crate::config::{DirectoryTarget, Winbind};
use crate::primary::winbind::Helpers;

/// Asks about somebody who is not there. Nothing where the target does not check MS-CHAP.
pub(super) async fn probe(target: &DirectoryTarget) -> Option<Finding> {
    let winbind = target.ms_chap.as_ref()?;
    let what = format!("target {} mschap", target.name);
    let deadline = Instant::now() + winbind.timeout;
    Some(match Helpers::new(&target.name, winbind).probe(deadline).await {
        Ok(()) => Finding::ok(what, format!("{} answers", winbind.program.display())),
        Err(why) => Finding::fail(what, why, advice(winbind)),
    })
}

fn advice(winbind: &Winbind) -> &'static str {
    if winbind.program.exists() {
        "does winbind run, is this machine a member of the domain (wbinfo -t), and may the user that Anteroom runs as \
         open its privileged pipe (group winbindd_priv)?"
    } else {
        "install Samba's winbind package, or say in mschap_helper where ntlm_auth is"
    }
}

//! What the servers of a RADIUS target say to Status-Server (RFC 5997).

use std::sync::Arc;

use super::{Finding, rounded};
use crate::config::RadiusTarget;
use crate::radius::authenticator::ClientKey;
use crate::radius::pool::Pool;

/// Asks each server once.
pub(super) async fn probe(target: &RadiusTarget) -> Vec<Finding> {
    let key = Arc::new(ClientKey::new(target.secret.duplicate()));
    let pool = match Pool::of(target, &key) {
        Ok(pool) => pool,
        Err(why) => return vec![Finding::fail(format!("target {}", target.name), why, "")],
    };
    let mut findings = Vec::new();
    for probed in pool.probe().await {
        let what = format!("target {} server {}", target.name, probed.server);
        findings.push(match probed.took {
            Some(took) => Finding::ok(what, format!("answers Status-Server in {:?}", rounded(took))),
            None if probed.forged => {
                Finding::fail(what, "its answer is not authentic", "is the secret the same on both sides?")
            }
            None => Finding::warn(
                what,
                "does not answer Status-Server",
                "it is not there, does not know this server as its client or by another secret, or it is a server \
                 that ignores Status-Server, such as NPS: then set probe = \"0s\" and try a sign-in",
            ),
        });
    }
    findings
}

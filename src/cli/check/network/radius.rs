//! What the servers of a RADIUS target say to Status-Server (RFC 5997).

use std::sync::Arc;

use super::{Finding, rounded};
use crate::config::RadiusTarget;
use crate::radius::authenticator::ClientKey;
use crate::radius::pool::{Dropped, Pool, Settings};

/// Asks each server once.
pub(super) async fn probe(target: &RadiusTarget) -> Vec<Finding> {
    let key = Arc::new(ClientKey::new(target.secret.duplicate()));
    let mut findings = Vec::new();
    for server in &target.servers {
        // A pool for each, so that what was dropped is this server's.
        let pool = Pool::new(Settings::from(target), std::slice::from_ref(server), &key);
        let took = pool.probe().await.into_iter().next().and_then(|(_, took)| took);
        let what = format!("target {} server {server}", target.name);
        let dropped = |cause| pool.dropped(cause) > 0;
        findings.push(match took {
            Some(took) => Finding::ok(what, format!("answers Status-Server in {:?}", rounded(took))),
            None if dropped(Dropped::Forged) => {
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

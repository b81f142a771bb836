//! The RADIUS door of a configuration: its sockets and, where there are clients over TLS, its connections; and the door for
//! changes of sessions.

use std::sync::Arc;

use super::AppError;
use crate::config::Config;
use crate::radius::door::Shared;
use crate::radius::listener::{Books, ChangesListener, Listener, LoopbackListener, Settings, TlsListener};
use crate::signin::reception::SignIns;
use crate::telemetry::metrics::Metrics;

/// RADIUS requests that one socket keeps in mind, at some 200 octets each.
const REMEMBERED: usize = 262_144;

/// Binds all addresses and starts to serve them.
pub(super) fn radius(
    config: &Config,
    shared: &Arc<Shared>,
    sign_ins: &Arc<SignIns>,
    books: &Books,
    metrics: &Arc<Metrics>,
) -> Result<Listener, AppError> {
    let sockets = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let settings = Settings { sockets, remembered: REMEMBERED };
    let (access, accounting) = (&config.radius.listen, &config.radius.accounting);
    let listener = Listener::start(access, accounting, settings, shared, sign_ins, books);
    let listener = listener.map_err(|error| {
        AppError(format!(
            "cannot listen on {access:?} and {accounting:?}: {error}; is another RADIUS server running there?"
        ))
    })?;
    let door = config.radius.tls.as_ref();
    let tls = door.map(|door| TlsListener::start(door, shared, sign_ins, books, metrics));
    let tls = tls.transpose().map_err(|why| AppError(format!("radius.tls: {why}")))?;
    let tcp = Some(&config.radius.tcp).filter(|listen| !listen.is_empty());
    let tcp = tcp.map(|listen| LoopbackListener::start(listen, shared, sign_ins, books));
    let tcp = tcp.transpose().map_err(|error| AppError(format!("radius.tcp: cannot listen: {error}")))?;
    let changes = config.radius.changes.as_ref();
    let changes = changes.map(|changes| ChangesListener::start(changes, shared, metrics));
    let changes = changes.transpose().map_err(|why| AppError(format!("radius.changes: {why}")))?;
    Ok(listener.with_tls(tls).with_tcp(tcp).with_changes(changes))
}

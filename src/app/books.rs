//! Where accounting goes: into the audit and, where a client's section says so, to a target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::AppError;
use crate::audit::{Audit, Note};
use crate::config::Config;
use crate::radius::accounting::Onward;
use crate::radius::authenticator::ClientKey;
use crate::radius::listener::{Books, Keep, Sink};
use crate::radius::pool::Pool;
use crate::radius::spool::{Entry, Spool, TellFull};

/// The records that wait, by target.
pub(super) type Spools = Arc<BTreeMap<String, Spool>>;

/// The books of a server, and the records in them that wait.
pub(super) fn open(config: &Config, audit: &Arc<Audit>) -> Result<(Books, Spools), AppError> {
    let spools = spools(config, audit)?;
    Ok((books(audit, &spools), spools))
}

/// Opens the spool of each target that accounting is forwarded to.
fn spools(config: &Config, audit: &Arc<Audit>) -> Result<Spools, AppError> {
    let mut spools = BTreeMap::new();
    for name in config.radius.clients.iter().filter_map(|client| client.accounting_target.as_deref()) {
        let Some(target) = config.radius_targets.get(name).filter(|_| !spools.contains_key(name)) else { continue };
        let key = Arc::new(ClientKey::new(target.secret.duplicate()));
        let pool = Pool::of_accounting(target, &key).map_err(|why| AppError(format!("target {name:?}: {why}")))?;
        let folder = config.radius.spool.join(name);
        let tell_full = tell_full(audit, name, &config.server.name);
        let spool = Spool::start(&folder, config.radius.spool_size, name, pool, key, tell_full);
        let spool = spool.map_err(|error| AppError(format!("the accounting spool {}: {error}", folder.display())))?;
        spools.insert(name.to_owned(), spool);
    }
    Ok(Arc::new(spools))
}

fn tell_full(audit: &Arc<Audit>, target: &str, server: &str) -> TellFull {
    let (audit, target, server) = (Arc::clone(audit), target.to_owned(), server.to_owned());
    Box::new(move |records| {
        tracing::error!(
            target_name = target,
            records,
            "the accounting spool is full: records are not acknowledged until the target takes some"
        );
        audit.note(Note {
            time: SystemTime::now(),
            kind: "accounting_full",
            providers: Vec::new(),
            sign_in: None,
            seconds: None,
            reason: Some(format!("target {target}: {records} records wait")),
            by: None,
            server: server.clone(),
        });
    })
}

fn books(audit: &Arc<Audit>, spools: &Spools) -> Books {
    let audit = Arc::clone(audit);
    let sink: Sink = Arc::new(move |record| audit.account(record));
    let spools = Arc::clone(spools);
    let keep: Keep = Arc::new(move |Onward { target, attributes }| match spools.get(&*target) {
        Some(spool) => spool.keep(Entry { received: SystemTime::now(), attributes }),
        None => Box::pin(std::future::ready(false)),
    });
    Books { sink: Some(sink), keep: Some(keep) }
}

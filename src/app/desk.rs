//! The providers, each behind its breaker, and the desk of the control socket that watches them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{AppError, Providers};
use crate::audit::{Audit, Notes};
use crate::config::{self, Config};
use crate::control::{Control, ControlDesk, Watched};
use crate::factor;
use crate::factor::local::House;
use crate::factor::native::wire::ServerIdentity;
use crate::factor::routing::Guarded;
use crate::signin::caching::Caching;
use crate::signin::explain::Served;
use crate::signin::reception::SignIns;
use crate::users::keys::KeyFile;
use crate::users::pins::Pins;
use crate::users::sql::SqlStore;

/// Every provider, behind its breaker.
pub(super) fn providers(config: &Config, store: &Arc<SqlStore>) -> Result<Providers, AppError> {
    let own = config
        .providers
        .values()
        .any(|provider| matches!(provider, config::Provider::Local(_) | config::Provider::Codes(_)));
    let keys = own.then(|| KeyFile::open(&config.server.keys)).transpose();
    let keys = keys.map_err(|error| AppError(error.to_string()))?;
    let house = keys.map(|keys| House::new(store.clone(), Arc::new(keys), config.pin));
    let pins = Pins { roster: store.clone(), rules: config.pin };
    let address = config.radius.listen.first().map(SocketAddr::ip).filter(|address| !address.is_unspecified());
    let made = config.providers.iter().map(|(name, provider)| {
        let server = ServerIdentity { name: config.server.name.clone(), address };
        let built = factor::build::build(provider, server, house.as_ref(), Some(&pins));
        let built = built.map_err(|error| AppError(format!("provider {name:?}: {error}")))?;
        let guarded = Guarded::new(Arc::clone(&built)).with_failover(provider.failover().to_vec());
        Ok((name.clone(), built, Arc::new(guarded)))
    });
    made.collect()
}

/// The rules that keep approvals, and the key of their digests, which nodes with the same key file share.
pub(super) fn caching(config: &Config) -> Result<Caching, AppError> {
    if config.caching.is_empty() {
        return Ok(Caching::default());
    }
    let keys = KeyFile::open(&config.server.keys).and_then(|keys| keys.derived("approvals"));
    let key = keys.map_err(|error| AppError(format!("[[caching]]: {error}")))?;
    Ok(Caching::new(config.caching.clone(), &key))
}

/// Where what is no sign-in goes.
pub(super) fn notes(audit: &Arc<Audit>) -> Notes {
    let audit = Arc::clone(audit);
    Arc::new(move |note| audit.note(note))
}

/// The control socket. Without it the server works, and cannot be asked.
pub(super) fn open(
    config: &Config,
    sign_ins: &Arc<SignIns>,
    providers: &Providers,
    audit: &Arc<Audit>,
) -> Option<Control> {
    let watched = |(name, _, guarded): &(String, _, Arc<Guarded>)| {
        let kind = config.providers.get(name).map_or("", config::Provider::word);
        Watched { name: name.clone(), kind, guarded: Arc::clone(guarded) }
    };
    let path = &config.server.control;
    let record = path.with_file_name("outages.jsonl");
    let providers = providers.iter().map(watched).collect();
    let clients = Served::all(config);
    let desk = ControlDesk::new(config.server.name.clone(), Arc::clone(sign_ins), clients, providers, record)
        .with_notes(notes(audit));
    match Control::start(path, Arc::new(desk)) {
        Ok(control) => Some(control),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "no control socket: anteroom status and outage cannot be used");
            None
        }
    }
}

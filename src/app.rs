//! Builds everything from the configuration; starts, drains, stops.
//!
//! ```text
//! Config ─▶ store, metrics, audit ─▶ targets, providers ─▶ SignIns ─▶ RADIUS and LDAP listeners
//! stop:     listener takes nothing new ─ holds are finished (server.drain) ─ prompts cancelled
//!           ─ audit flushed ─ store closed
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use error::AppError;

use crate::audit::Audit;
use crate::config::Config;
use crate::control::Control;
use crate::factor::routing::Guarded;
use crate::factor::{self, Factor};
use crate::import::pass::{Importer, LEASE, Place};
use crate::import::schedule;
use crate::ldap::listener::{Directories as Behind, Listener as LdapListener};
use crate::ldap::relay::Surroundings;
use crate::mail::sending::Sender;
use crate::radius::clients::Clients;
use crate::radius::door::Shared;
use crate::radius::listener::Listener;
use crate::signin::reception::{Deps, SignIns};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::users::open::open;
use crate::users::pins::Pins;
use crate::users::sql::SqlStore;
use crate::users::store::Store;

mod behind;
mod books;
mod desk;
mod doors;
mod error;
mod habits;
mod monitor;
mod nodes;
mod pages;
mod restored;
mod retention;
mod rounds;
mod soundness;

pub(crate) use behind::{Directories, directories, radius_targets, targets};
use soundness::Soundness;

/// How long cancellations and the audit may take once no sign-in is left.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long operations of applications may still take, at most, of `server.drain`.
const LAST_OPERATIONS: Duration = Duration::from_secs(10);

/// How long the answers to the last verdicts may take to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its sign-ins.
    pub sign_ins: Arc<SignIns>,
    /// Its numbers.
    pub metrics: Arc<Metrics>,
    listener: Listener,
    ldap: LdapListener,
    audit: Arc<Audit>,
    store: Arc<SqlStore>,
    soundness: Soundness,
    providers: Providers,
    drain: Duration,
    monitor: JoinHandle<()>,
    importing: JoinHandle<()>,
    mails: Option<JoinHandle<()>>,
    retention: Option<JoinHandle<()>>,
    nodes: Option<nodes::Beating>,
    pages: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    control: Option<Control>,
}

impl Server {
    /// Builds and starts everything. The store is created if there is none.
    ///
    /// # Errors
    /// What could not be opened, bound or understood, and what to do.
    pub async fn start(config: Config) -> Result<Server, AppError> {
        let (store, soundness) = store(&config).await?;
        let (metrics, shared_store): (_, Arc<dyn Store>) = (metrics(&config), store.clone());
        let audit = audit(&config, &metrics, &shared_store)?;
        let (directories, radius_targets) = (directories(&config)?, radius_targets(&config, &shared_store)?);
        let importer = importer(&config, &directories, &store);
        let (mails, providers) = (mails(&config, &store)?, desk::providers(&config, &store)?);
        let nodes = nodes::open(&config, &store).await?;
        let sign_ins = SignIns::new(Deps {
            targets: targets(&config, &directories, &radius_targets),
            providers: factors(&providers),
            routes: config.routes.clone(),
            rules: config.rules.clone(),
            caching: desk::caching(&config)?,
            mails: config.mail.as_ref().is_some_and(|mail| !mail.administrators.is_empty()),
            store: Arc::clone(&shared_store),
            ledger: audit.clone(),
            limits: config.limits,
            throttle: config.throttle,
            server: config.server.name.clone(),
            metrics: Arc::clone(&metrics),
            random: random()?,
            texts: Arc::clone(&config.server.texts),
            pins: Some(Pins { roster: store.clone(), rules: config.pin }),
            rounds: rounds::shared(&config, &store).await,
            nodes: nodes.clone(),
        });
        restored::restore(&sign_ins, &store, nodes.is_some()).await?;
        let start = Instant::now();
        let clients = Clients::new(&config.radius.clients, start).map_err(|error| AppError(error.to_string()))?;
        let habits = habits::Habits::read(config.server.control.with_file_name(habits::FILE), &clients);
        let shared = Arc::new(Shared::new(clients, start));
        let (books, spools) = books::open(&config, &audit)?;
        let listener = doors::radius(&config, &shared, &sign_ins, &books, &metrics)?;
        let ldap = ldap(&config, &directories, &sign_ins, &metrics)?;
        let health = Arc::new(Health::default());
        let pages = match config.metrics {
            Some(address) => Some(pages::start(address, &metrics, &health).await?),
            None => None,
        };
        health.works("server");
        let monitor = tokio::spawn(monitor::run(monitor::Watched {
            metrics: Arc::clone(&metrics),
            health,
            radius: shared,
            habits,
            sign_ins: Arc::clone(&sign_ins),
            store: shared_store,
            directories: directories.into_iter().map(|(name, directory, _)| (name, directory)).collect(),
            radius_targets,
            spools,
            providers: providers.iter().map(|(name, _, guarded)| (name.clone(), Arc::clone(guarded))).collect(),
            server: config.server.name.clone(),
            notes: desk::notes(&audit),
        }));
        // Nothing can fail any more: what goes on by itself begins only now.
        let importing = tokio::spawn(schedule::run(importer));
        let mails = mails.map(|sender| tokio::spawn(sender.run()));
        let control = desk::open(&config, &sign_ins, &providers, &audit);
        let retention = config.audit.keep.map(|keep| tokio::spawn(retention::run(store.clone(), keep)));
        let nodes = nodes.map(|nodes| nodes::Beating::begin(nodes, config.throttle));
        Ok(Server {
            sign_ins,
            metrics,
            listener,
            ldap,
            audit,
            store,
            soundness,
            providers,
            drain: config.server.drain,
            monitor,
            importing,
            mails,
            retention,
            nodes,
            pages,
            control,
        })
    }

    /// Where Access-Requests are received, with the ports that the kernel chose for 0.
    pub fn radius(&self) -> &[SocketAddr] {
        self.listener.access()
    }

    /// Where Accounting-Requests are received.
    pub fn accounting(&self) -> &[SocketAddr] {
        self.listener.accounting()
    }

    /// Where LDAP is spoken, with StartTLS where there is a certificate.
    pub fn ldap(&self) -> &[SocketAddr] {
        self.ldap.plain()
    }

    /// Where LDAP over TLS is spoken.
    pub fn ldaps(&self) -> &[SocketAddr] {
        self.ldap.tls()
    }

    /// Where RADIUS over TLS is spoken.
    pub fn radsec(&self) -> &[SocketAddr] {
        self.listener.tls()
    }

    /// Reads the doors' certificates again. Connections that are open keep theirs.
    pub fn reload_certificate(&self) {
        self.ldap.reload();
        self.listener.reload();
    }

    /// Resolves with the reason when the store, which is looked through while the server works, turns out to be
    /// damaged. Never, where it is sound.
    pub async fn damaged(&mut self) -> AppError {
        self.soundness.damaged().await
    }

    /// Opens the audit file anew, as after a rotation.
    pub fn reopen_audit(&self) {
        self.audit.reopen();
    }

    /// Waits until every sign-in that has ended so far is in the audit.
    pub async fn flush_audit(&self) {
        self.audit.flush().await;
    }

    /// Stops: nothing new is taken, holds are finished within `server.drain`, what is left is cancelled
    /// without an answer, the audit is written.
    pub async fn stop(self) {
        let begun = Instant::now();
        drop(self.control);
        self.listener.drain();
        // A pass that is under way has changed nothing, and the next one removes what it has left.
        self.importing.abort();
        if let Some(mails) = &self.mails {
            mails.abort();
        }
        self.ldap.drain();
        self.sign_ins.drain(self.drain).await;
        let left = self.sign_ins.held();
        if left > 0 {
            tracing::warn!(left, "sign-ins still held at the end of server.drain are given up");
            self.sign_ins.give_up();
            self.sign_ins.drain(LAST_WORDS).await;
        }
        // What was begun on LDAP connections is finished, but for searches that never end.
        let rest = self.drain.saturating_sub(begun.elapsed()).min(LAST_OPERATIONS);
        if tokio::time::timeout(rest, self.ldap.finished()).await.is_err() {
            tracing::warn!(left = self.ldap.connections(), "LDAP operations are given up");
        }
        // The last verdicts are there; their answers have yet to leave.
        if tokio::time::timeout(LAST_ANSWERS, self.listener.answered()).await.is_err() {
            tracing::warn!(left = self.listener.running(), "requests are left without an answer");
        }
        if tokio::time::timeout(LAST_WORDS, self.ldap.close()).await.is_err() {
            tracing::warn!(left = self.ldap.connections(), "LDAP connections are cut off");
        }
        drop(self.listener);
        self.sign_ins.tell_standings(true);
        for (_, provider, _) in &self.providers {
            provider.drain(LAST_WORDS).await;
        }
        if tokio::time::timeout(LAST_WORDS, self.audit.flush()).await.is_err() {
            tracing::error!("the audit could not be written in time");
        }
        self.monitor.abort();
        if let Some(retention) = &self.retention {
            retention.abort();
        }
        if let Some(nodes) = self.nodes {
            nodes.end().await;
        }
        if let Some((stop, served)) = self.pages {
            let _ = stop.send(());
            let _ = tokio::time::timeout(LAST_WORDS, served).await;
        }
        self.store.close().await;
    }
}

/// Each provider by name, and the breaker before it.
type Providers = Vec<(String, Arc<dyn factor::Provider>, Arc<Guarded>)>;

/// The user store, created if there is none, and the look at whether it is sound.
async fn store(config: &Config) -> Result<(Arc<SqlStore>, Soundness), AppError> {
    let store = open(&config.server.store, true).await.map_err(|error| AppError(error.to_string()))?;
    let store = Arc::new(store);
    let soundness = Soundness::look(&store).await?;
    Ok((store, soundness))
}

/// The numbers of a server with these clients.
fn metrics(config: &Config) -> Arc<Metrics> {
    let radius = config.radius.clients.iter().map(|client| client.client.name.as_str());
    let ldap = config.ldap.clients.iter().map(|client| client.client.name.as_str());
    Arc::new(Metrics::new(radius.chain(ldap)))
}

/// The LDAP door, before these directories.
fn ldap(
    config: &Config,
    directories: &Directories,
    sign_ins: &Arc<SignIns>,
    metrics: &Arc<Metrics>,
) -> Result<LdapListener, AppError> {
    let surroundings = Surroundings { sign_ins: Arc::clone(sign_ins) };
    let behind = |target: &str| {
        let directory = directories.iter().find(|(name, ..)| name == target)?;
        Some(Arc::clone(&directory.1) as Behind)
    };
    LdapListener::start(&config.ldap, surroundings, Arc::clone(metrics), behind)
        .map_err(|why| AppError(format!("ldap: {why}")))
}

/// The providers as sign-ins use them.
fn factors(providers: &Providers) -> BTreeMap<String, Arc<dyn Factor>> {
    let factor =
        |(name, _, guarded): &(String, _, Arc<Guarded>)| (name.clone(), Arc::clone(guarded) as Arc<dyn Factor>);
    providers.iter().map(factor).collect()
}

/// The end of every sign-in.
fn audit(config: &Config, metrics: &Arc<Metrics>, store: &Arc<dyn Store>) -> Result<Arc<Audit>, AppError> {
    let audit = Audit::new(Arc::clone(metrics), Arc::clone(store), config.audit.file.clone());
    audit.map(Arc::new).map_err(|error| {
        let file = config.audit.file.as_deref().unwrap_or("audit.file".as_ref());
        AppError(format!("the audit file {} cannot be opened: {error}", file.display()))
    })
}

/// Random octets.
fn random<const N: usize>() -> Result<[u8; N], AppError> {
    let mut random = [0; N];
    getrandom::fill(&mut random).map_err(|error| AppError(format!("no random octets from the kernel: {error}")))?;
    Ok(random)
}

/// The import shares the directories, but brings connections of its own.
fn importer(config: &Config, directories: &Directories, store: &Arc<SqlStore>) -> Importer {
    let places = directories.iter().filter_map(|(name, directory, _)| {
        let target = config.targets.get(name)?;
        let (directory, base) = (Arc::clone(directory), target.base.clone());
        Some((name.clone(), Place { directory, base, domains: target.domains.clone() }))
    });
    Importer {
        import: Arc::new(config.import.clone()),
        places: places.collect(),
        roster: store.clone(),
        node: config.server.name.clone(),
        lease: LEASE,
        mails: config.mail.is_some(),
    }
}

/// What sends mails, where they are sent.
fn mails(config: &Config, store: &Arc<SqlStore>) -> Result<Option<Sender>, AppError> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let sender =
        Sender::new(mail, store.clone(), &config.server.name).map_err(|why| AppError(format!("mail: {why}")))?;
    Ok(Some(sender))
}

/// Runs the service until SIGTERM or SIGINT. SIGHUP opens the audit file anew and reads certificates again.
///
/// # Errors
/// Why it could not start, or go on.
pub async fn serve(config: Config) -> Result<(), AppError> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = |kind| signal(kind).map_err(|error| AppError(format!("signals cannot be received: {error}")));
    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;
    let mut hang_up = signals(SignalKind::hangup())?;
    let mut server = Server::start(config).await?;
    tracing::info!(
        radius = ?server.radius(), accounting = ?server.accounting(), changes = ?server.listener.changes(), radsec = ?server.radsec(), ldap = ?server.ldap(), ldaps = ?server.ldaps(),
        "ready"
    );
    notify(&[sd_notify::NotifyState::Ready]);
    let ended = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            damage = server.damaged() => {
                tracing::error!(%damage, "the user store is damaged: stopping");
                break Err(damage);
            }
            _ = hang_up.recv() => {
                server.reopen_audit();
                server.reload_certificate();
                tracing::info!("SIGHUP: audit file and certificates are read anew, the configuration only at a start");
            }
        }
    };
    tracing::info!(held = server.sign_ins.held(), "stopping");
    notify(&[sd_notify::NotifyState::Stopping]);
    // A second signal ends the patience.
    tokio::select! {
        () = server.stop() => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!("stopped at once"),
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    ended
}

/// Tells systemd, where it asked to be told.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

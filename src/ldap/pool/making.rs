//! Where a pool's connections come from: an idle one, or a new one, within the time that there is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::connection::Connection;
use super::health::IDLE;
use super::lookups::{Choice, Lookup};
use super::server::{Checkout, Server, gone};
use super::{Limits, Miss, PATIENCE, Pool};
use crate::ldap::result::{code, code_name};

impl Pool {
    /// Takes an idle connection for a bind, or makes one.
    pub(super) async fn checkout<'a>(
        &self,
        server: &'a Arc<Server>,
        fresh: bool,
        limits: Limits,
    ) -> Result<Checkout<'a>, Miss> {
        let lane = &server.bind;
        let permit = within(server, limits, &lane.permits).await?;
        let now = Instant::now();
        loop {
            let idle = if fresh { None } else { lane.idle().pop() };
            let Some(mut connection) = idle else { break };
            if connection.usable(now, IDLE) {
                return Ok(Checkout { connection: Some(connection), reused: true, server, _permit: permit });
            }
        }
        let connection = self.connect_for(server, limits, async || self.connect(server).await).await?;
        Ok(Checkout { connection: Some(connection), reused: false, server, _permit: permit })
    }

    /// A place on a connection for searches, and whether somebody else has made the connection.
    pub(super) async fn seat<'a>(
        &self,
        server: &'a Arc<Server>,
        limits: Limits,
    ) -> Result<(Arc<Lookup>, bool, SemaphorePermit<'a>), Miss> {
        let permit = within(server, limits, &server.lookup.permits).await?;
        let opening = match server.lookup.choose() {
            Choice::Use(lookup) => return Ok((lookup, true, permit)),
            Choice::UseOrOpen(lookup) => match server.lookup.opening.try_lock() {
                Ok(opening) => opening,
                Err(_) => return Ok((lookup, true, permit)),
            },
            Choice::Open => {
                let opening = tokio::select! {
                    opening = server.lookup.opening.lock() => opening,
                    () = gone(server) => return Err(Miss::Away),
                    () = tokio::time::sleep_until(limits.deadline) => return Err(Miss::Deadline),
                };
                // Who waited for it to be opened uses what was opened.
                if let Choice::Use(lookup) | Choice::UseOrOpen(lookup) = server.lookup.choose() {
                    return Ok((lookup, true, permit));
                }
                opening
            }
        };
        let made = self.connect_for(server, limits, async || {
            let mut connection = self.connect(server).await?;
            self.bind_service(server, &mut connection).await?;
            Ok(connection)
        });
        let lookup = server.lookup.add(made.await?);
        drop(opening);
        Ok((lookup, false, permit))
    }

    /// Makes a connection within the limits, and marks the server down where that is its fault.
    async fn connect_for(
        &self,
        server: &Arc<Server>,
        limits: Limits,
        make: impl AsyncFnOnce() -> Result<Connection, Miss>,
    ) -> Result<Connection, Miss> {
        self.sweep_from_now_on();
        let whole = self.settings.connect_timeout;
        let most = if limits.patient { whole } else { whole.min(PATIENCE) };
        let until = (Instant::now() + most).min(limits.deadline);
        let made = async {
            let _gate = server.connecting.acquire().await.map_err(|_| Miss::Away)?;
            make().await
        };
        tokio::select! {
            made = timeout_at(until, made) => match made {
                Ok(made) => made,
                Err(_) => Err(self.late(server, until, limits, most)),
            },
            () = gone(server) => Err(Miss::Away),
        }
    }

    async fn connect(&self, server: &Arc<Server>) -> Result<Connection, Miss> {
        Connection::open(&server.url, &self.tls).await.map_err(|error| {
            self.mark_down(server, &error.to_string());
            Miss::Away
        })
    }

    async fn bind_service(&self, server: &Arc<Server>, connection: &mut Connection) -> Result<(), Miss> {
        let proven = self.service_proven.load(Ordering::Acquire);
        let _trial = if proven { None } else { Some(self.service_trial.lock().await) };
        let now = Instant::now();
        let pause = *self.service_pause();
        if let Some((until, code)) = pause
            && now < until
        {
            return Err(Miss::Refused(code));
        }
        let (name, password) = (&self.settings.service_name, &self.settings.service_password);
        let answer = match connection.bind(name.as_bytes(), password.open()).await {
            Ok(answer) => answer,
            Err(trouble) => {
                self.complain(server, &trouble);
                return Err(Miss::Trouble(trouble));
            }
        };
        self.service_proven.store(answer.code == code::SUCCESS, Ordering::Release);
        if answer.code == code::SUCCESS {
            return Ok(());
        }
        if answer.code == code::INVALID_CREDENTIALS {
            *self.service_pause() = Some((now + SERVICE_PAUSE, answer.code));
        }
        warn!(
            target_name = %self.settings.target, server = %server.url.host, code = answer.code,
            meaning = code_name(answer.code), refusal = ?answer.refusal,
            "the directory refuses the service account; check bind_name and bind_password"
        );
        Err(Miss::Refused(answer.code))
    }

    fn service_pause(&self) -> MutexGuard<'_, Option<(Instant, u32)>> {
        self.service_pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it means that nothing had happened at `until`.
    pub(super) fn late(&self, server: &Arc<Server>, until: Instant, limits: Limits, most: Duration) -> Miss {
        if until >= limits.deadline {
            // The person's time was over before the server's: that says little of it, so it is asked.
            self.suspect(server);
            return Miss::Deadline;
        }
        self.mark_down(server, &format!("no answer within {most:?}"));
        if limits.patient { Miss::Away } else { Miss::Impatience }
    }
}

/// Waits for a permit of a server's.
async fn within<'a>(server: &Server, limits: Limits, permits: &'a Semaphore) -> Result<SemaphorePermit<'a>, Miss> {
    if let Ok(permit) = permits.try_acquire() {
        return Ok(permit);
    }
    tokio::select! {
        permit = permits.acquire() => permit.map_err(|_| Miss::Away),
        () = gone(server) => Err(Miss::Away),
        () = tokio::time::sleep_until(limits.deadline) => Err(Miss::Deadline),
    }
}

/// The service account is not tried again for this long after its password was refused: each try counts.
const SERVICE_PAUSE: Duration = Duration::from_secs(30);

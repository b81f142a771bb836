//! Where a pool's connections come from: an idle one, or a new one, within the time that there is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::connection::Connection;
use super::health::IDLE;
use super::server::{Checkout, Role, Server, gone};
use super::{Limits, Miss, PATIENCE, Pool};
use crate::ldap::result::{code, code_name};

impl Pool {
    /// Takes an idle connection, or makes one.
    pub(super) async fn checkout<'a>(
        &self,
        server: &'a Arc<Server>,
        role: Role,
        fresh: bool,
        limits: Limits,
    ) -> Result<Checkout<'a>, Miss> {
        let lane = server.lane(role);
        let permit = match lane.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => tokio::select! {
                permit = lane.permits.acquire() => permit.map_err(|_| Miss::Away)?,
                () = gone(server) => return Err(Miss::Away),
                () = tokio::time::sleep_until(limits.deadline) => return Err(Miss::Deadline),
            },
        };
        let now = Instant::now();
        loop {
            let idle = if fresh { None } else { lane.idle().pop() };
            let Some(mut connection) = idle else { break };
            if connection.usable(now, IDLE) {
                return Ok(Checkout { connection: Some(connection), reused: true, server, role, _permit: permit });
            }
        }
        let connection = self.connect_for(server, role, limits).await?;
        Ok(Checkout { connection: Some(connection), reused: false, server, role, _permit: permit })
    }

    /// Makes a connection within the limits, and marks the server down where that is its fault.
    async fn connect_for(&self, server: &Arc<Server>, role: Role, limits: Limits) -> Result<Connection, Miss> {
        self.sweep_from_now_on();
        let whole = self.settings.connect_timeout;
        let most = if limits.patient { whole } else { whole.min(PATIENCE) };
        let until = (Instant::now() + most).min(limits.deadline);
        let made = async {
            let _gate = server.connecting.acquire().await.map_err(|_| Miss::Away)?;
            self.connect(server, role).await
        };
        tokio::select! {
            made = timeout_at(until, made) => match made {
                Ok(made) => made,
                Err(_) => Err(self.late(server, until, limits, most)),
            },
            () = gone(server) => Err(Miss::Away),
        }
    }

    async fn connect(&self, server: &Arc<Server>, role: Role) -> Result<Connection, Miss> {
        let mut connection = match Connection::open(&server.url, &self.tls).await {
            Ok(connection) => connection,
            Err(error) => {
                self.mark_down(server, &error.to_string());
                return Err(Miss::Away);
            }
        };
        if role == Role::Lookup {
            self.bind_service(server, &mut connection).await?;
        }
        Ok(connection)
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
            return Miss::Deadline;
        }
        self.mark_down(server, &format!("no answer within {most:?}"));
        if limits.patient { Miss::Away } else { Miss::Impatience }
    }
}

/// The service account is not tried again for this long after its password was refused: each try counts.
const SERVICE_PAUSE: Duration = Duration::from_secs(30);

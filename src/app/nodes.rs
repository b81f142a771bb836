//! This node among those that share a database: what they have in common, and the sign of life by which others know it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::AppError;
use crate::config::{Config, Throttle};
use crate::signin::nodes::Nodes;
use crate::users::keys::KeyFile;
use crate::users::place::StoreAt;
use crate::users::prompts::Node;
use crate::users::sql::SqlStore;

/// How often this node says that it is alive.
const BEAT: Duration = Duration::from_secs(5);

/// Nothing where the user store is a file, which has one node.
pub(super) async fn open(config: &Config, store: &Arc<SqlStore>) -> Result<Option<Arc<Nodes>>, AppError> {
    if !matches!(*config.server.store, StoreAt::Postgres(_)) {
        return Ok(None);
    }
    let own: [u8; 8] = super::random()?;
    let me = Node { node: own.iter().map(|octet| format!("{octet:02x}")).collect(), name: config.server.name.clone() };
    let derived = KeyFile::open(&config.server.keys).and_then(|keys| keys.derived("prompts"));
    let derived = derived
        .map_err(|error| error.to_string())
        .and_then(|key| key.open().try_into().map_err(|_| "the key has the wrong length".to_owned()));
    let secret = match derived {
        Ok(secret) => secret,
        Err(why) => {
            tracing::warn!(why, "a sign-in whose requests reach several nodes is asked by each of them");
            super::random()?
        }
    };
    let nodes = Nodes::new(store.clone(), me, secret);
    nodes.alive(&config.throttle).await.map_err(|error| AppError(error.to_string()))?;
    Ok(Some(Arc::new(nodes)))
}

/// Says every few seconds that this node is alive.
#[derive(Debug)]
pub(super) struct Beating {
    nodes: Arc<Nodes>,
    task: JoinHandle<()>,
}

impl Beating {
    /// Begins.
    pub(super) fn begin(nodes: Arc<Nodes>, bounds: Throttle) -> Beating {
        let beaten = Arc::clone(&nodes);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(BEAT);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(error) = beaten.alive(&bounds).await {
                    tracing::warn!(%error, "the other nodes cannot be told that this one is alive");
                }
            }
        });
        Beating { nodes, task }
    }

    /// Says that it ends.
    pub(super) async fn end(self) {
        self.task.abort();
        self.nodes.ends().await;
    }
}

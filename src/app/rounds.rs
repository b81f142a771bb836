//! Whether rounds of challenges are shared with other nodes, and by which secret.

use std::sync::Arc;

use crate::config::Config;
use crate::secret::Secret;
use crate::signin::moving::Shared;
use crate::users::keys::KeyFile;
use crate::users::place::StoreAt;
use crate::users::rounds::{SHARED_SECRET, SharedRounds};
use crate::users::sql::SqlStore;

/// The name of the shared secret.
const NAME: &str = "rounds";

/// Where rounds wait that any node may go on with: in a user database on servers, where clients show challenges.
/// Otherwise, and where the key file is not that of the other nodes, they stay on the node that gave them out.
pub(super) async fn shared(config: &Config, store: &Arc<SqlStore>) -> Option<Arc<Shared>> {
    let clients = config.radius.clients.iter().map(|client| &client.client);
    let clients = clients.filter(|client| client.challenge.is_some());
    let clients: std::collections::BTreeMap<_, _> =
        clients.map(|client| (client.name.clone(), Arc::clone(client))).collect();
    if clients.is_empty() || !matches!(*config.server.store, StoreAt::Postgres(_)) {
        return None;
    }
    let opened = async {
        let keys = KeyFile::open(&config.server.keys).map_err(|error| error.to_string())?;
        let secret = secret(&keys, store.as_ref()).await?;
        Ok::<_, String>(Shared { store: store.clone(), keys: Arc::new(keys), secret, clients })
    };
    match opened.await {
        Ok(shared) => Some(Arc::new(shared)),
        Err(why) => {
            tracing::warn!(why, "the next round of a challenge must reach this node again: rounds cannot be shared");
            None
        }
    }
}

/// The secret that all nodes have; made by the first.
async fn secret(keys: &KeyFile, store: &dyn SharedRounds) -> Result<[u8; 32], String> {
    let sealed = match store.secret(NAME).await.map_err(|error| error.to_string())? {
        Some(sealed) => sealed,
        None => {
            let ours: [u8; 32] = super::random().map_err(|error| error.to_string())?;
            let sealed =
                keys.seal(SHARED_SECRET, &[NAME], &Secret::new(ours.to_vec())).map_err(|error| error.to_string())?;
            store.offer_secret(NAME, &sealed).await.map_err(|error| error.to_string())?
        }
    };
    let secret = keys.open_sealed(SHARED_SECRET, &[NAME], &sealed).map_err(|error| error.to_string())?;
    secret.open().try_into().map_err(|_| "the shared secret has the wrong length".to_owned())
}

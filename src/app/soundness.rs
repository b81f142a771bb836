//! Whether the user store is sound. A small one is known to be before the first sign-in; a large one is read through
//! while people sign in already: what is damaged is an error to whoever needs it, and the end of the server as soon
//! as it is found.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::AppError;
use crate::users::sql::SqlStore;
use crate::users::store::{StoreError, StoreResult};

/// What can be read through without keeping the first sign-ins waiting, in octets.
const SMALL: u64 = 4 * 1024 * 1024;

/// A larger one is looked at when the rush after the start is over.
const LATER: Duration = Duration::from_secs(2);

/// A look at the whole store, until it has ended well.
#[derive(Debug)]
pub(super) struct Soundness(Option<JoinHandle<StoreResult<()>>>);

impl Soundness {
    /// Looks at once where that is quick, and else begins to a moment later.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub(super) async fn look(store: &Arc<SqlStore>) -> Result<Soundness, AppError> {
        if store.octets() <= SMALL {
            store.check().await.map_err(|error| AppError(error.to_string()))?;
            return Ok(Soundness(None));
        }
        let store = Arc::clone(store);
        Ok(Soundness(Some(tokio::spawn(async move {
            tokio::time::sleep(LATER).await;
            store.check().await
        }))))
    }

    /// Resolves when the store turns out to be damaged; never, where it is sound or could not be read just then, which
    /// those who need it are told, too.
    pub(super) async fn damaged(&mut self) -> AppError {
        if let Some(look) = &mut self.0 {
            let found = look.await;
            self.0 = None;
            match found {
                Ok(Ok(())) => {}
                Ok(Err(damage @ StoreError::Unusable(_))) => return AppError(damage.to_string()),
                Ok(Err(error)) => not_looked_through(&error),
                Err(error) => not_looked_through(&error),
            }
        }
        std::future::pending().await
    }
}

fn not_looked_through(error: &dyn std::fmt::Display) {
    tracing::warn!(%error, "the user store could not be looked through; restart, or try `anteroom backup`, to have it looked at again");
}

impl Drop for Soundness {
    fn drop(&mut self) {
        if let Some(look) = &self.0 {
            look.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with some megabytes besides the people; with `damaged`, one page of those is no page any more.
    fn store_of(rows: u32, damaged: bool) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { SqlStore::open(&path, true).await.unwrap().close().await });
        let connection = rusqlite::Connection::open(&path).unwrap();
        let fill = format!(
            "CREATE TABLE filler (octets BLOB);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO filler SELECT randomblob(3000) FROM n;"
        );
        connection.execute_batch(&fill).unwrap();
        drop(connection);
        if damaged {
            let mut octets = std::fs::read(&path).unwrap();
            let page = octets.len() / 2 / 4096 * 4096;
            octets[page..page + 4096].fill(0xff);
            std::fs::write(&path, octets).unwrap();
        }
        (folder, path)
    }

    async fn open(path: &std::path::Path) -> Arc<SqlStore> {
        Arc::new(SqlStore::open(path, false).await.unwrap())
    }

    #[test]
    fn a_small_damaged_store_keeps_the_server_from_starting() {
        let (_folder, path) = store_of(400, true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = open(&path).await;
            assert!(store.octets() <= SMALL);
            let why = Soundness::look(&store).await.unwrap_err().to_string();
            assert!(why.contains("store.db") && why.contains("restore it from a backup"), "{why}");
        });
    }

    #[test]
    fn a_large_damaged_store_is_found_while_the_server_works() {
        for damaged in [true, false] {
            let (_folder, path) = store_of(2000, damaged);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = open(&path).await;
                assert!(store.octets() > SMALL);
                let mut soundness = Soundness::look(&store).await.unwrap();
                let look = async { soundness.0.as_mut().unwrap().await.unwrap() };
                if !damaged {
                    look.await.unwrap();
                    return;
                }
                let why = soundness.damaged().await.to_string();
                assert!(why.contains("store.db") && why.contains("restore it from a backup"), "{why}");
            });
        }
    }
}

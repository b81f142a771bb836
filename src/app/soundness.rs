//! Whether the user store is sound. A small one is known to be before the first sign-in; a large one is read through
//! while people sign in already: what is damaged is an error to whoever needs it, and the end of the server as soon
//! as it is found.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::AppError;
use crate::users::sql::SqlStore;
use crate::users::store::StoreResult;

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

    /// Resolves when the store turns out not to be sound; never, where it is.
    pub(super) async fn damaged(&mut self) -> AppError {
        if let Some(look) = &mut self.0 {
            let found = look.await;
            self.0 = None;
            match found {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return AppError(error.to_string()),
                Err(_) => return AppError("the user store could not be looked through".into()),
            }
        }
        std::future::pending().await
    }
}

impl Drop for Soundness {
    fn drop(&mut self) {
        if let Some(look) = &self.0 {
            look.abort();
        }
    }
}

//! Whether the user store is sound. A small one is known to be before the first sign-in; to read a large one
//! through takes seconds, in which people can sign in: damage that matters to them is an error of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::AppError;
use crate::users::sql::SqlStore;
use crate::users::store::StoreResult;

/// How long the start waits for the look to end. It takes some 2 ms for a thousand people.
const AT_START: Duration = Duration::from_millis(10);

/// A look at the whole store, until it has ended well.
#[derive(Debug)]
pub(super) struct Soundness(Option<JoinHandle<StoreResult<()>>>);

impl Soundness {
    /// Begins to look.
    pub(super) fn look(store: &Arc<SqlStore>) -> Soundness {
        let store = Arc::clone(store);
        Soundness(Some(tokio::spawn(async move { store.check().await })))
    }

    /// Waits a moment: what is found by then keeps the server from starting.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub(super) async fn at_start(&mut self) -> Result<(), AppError> {
        match tokio::time::timeout(AT_START, self.damaged()).await {
            Ok(damage) => Err(damage),
            Err(_) => Ok(()),
        }
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

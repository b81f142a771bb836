//! What an operator sees of approvals that stand for more sign-ins, and how they are forgotten.

use std::time::SystemTime;

use crate::signin::reception::SignIns;
use crate::users::approvals::Approval;

impl SignIns {
    /// Approvals that `[[caching]]` rules keep, of one person (account name, UPN or unique id) or of everybody: up to `limit`
    /// behind the key `after`.
    ///
    /// # Errors
    /// Why there is no answer, for a person.
    pub async fn kept_approvals(
        &self,
        user: Option<&str>,
        after: &[u8],
        limit: u32,
        now: SystemTime,
    ) -> Result<Vec<Approval>, String> {
        let unique_id = self.unique_id(user).await?;
        match self.deps.store.approvals() {
            None => Ok(Vec::new()),
            Some(store) => {
                store.approvals(unique_id.as_deref(), after, limit, now).await.map_err(|error| error.to_string())
            }
        }
    }

    /// Forgets approvals of one person or of everybody, on all nodes; and on this one also those that wait for a client's
    /// retry, or that `reuse` keeps. How many the store had.
    ///
    /// # Errors
    /// Why they are not forgotten, for a person.
    pub async fn forget_approvals(&self, user: Option<&str>) -> Result<u64, String> {
        let unique_id = self.unique_id(user).await?;
        self.pending.forget_carried(unique_id.as_deref());
        match self.deps.store.approvals() {
            None => Ok(0),
            Some(store) => store.forget_approvals(unique_id.as_deref()).await.map_err(|error| error.to_string()),
        }
    }

    async fn unique_id(&self, user: Option<&str>) -> Result<Option<String>, String> {
        let Some(user) = user else { return Ok(None) };
        let named = self.deps.store.person_named(user).await.map_err(|error| error.to_string())?;
        let person = match named {
            Some(person) => Some(person),
            None => self.deps.store.person(user).await.map_err(|error| error.to_string())?,
        };
        person
            .map(|person| Some(person.unique_id))
            .ok_or_else(|| format!("nobody in the user store is called {user:?}"))
    }
}

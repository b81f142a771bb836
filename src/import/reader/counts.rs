//! Searches for entries without anything in them (RFC 4511 section 4.5.1.8), by which it is known how many there are.

use tokio::sync::mpsc;

use super::{Asked, ReadError, Source};
use crate::import::entry::Reading;
use crate::import::scope::{self, Job};
use crate::ldap::pool::Paging;
use crate::ldap::result::code;

const NO_ATTRIBUTES: &str = "1.1";

impl Source {
    /// How many entries an item finds; `None`: that would take more than its searches.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn count(&mut self, reading: &Reading) -> Result<Option<u64>, ReadError> {
        match scope::jobs(reading, &self.base).map_err(ReadError::Unusable)? {
            Some(jobs) => self.found(&jobs).await,
            None => Ok(None),
        }
    }

    /// Those of these names that lead to nobody.
    pub(super) async fn nobody(&mut self, reading: &Reading, names: &[String]) -> Result<Vec<String>, ReadError> {
        let mut nobody = Vec::new();
        for name in names {
            let jobs = scope::by_names(reading, std::slice::from_ref(name), &self.base).map_err(ReadError::Unusable)?;
            if self.found(&jobs).await? == Some(0) {
                nobody.push(name.clone());
            }
        }
        Ok(nobody)
    }

    /// How many entries these searches find; `None`: the directory does not say.
    async fn found(&mut self, jobs: &[Job]) -> Result<Option<u64>, ReadError> {
        let mut all = 0;
        for job in jobs {
            let filter = job.filter.encode();
            let (base, wanted) = (job.base.as_str(), [NO_ATTRIBUTES]);
            let asked = Asked { base, scope: job.scope, filter: &filter, wanted: &wanted, controls: &[], tag: 0 };
            let (sink, mut batches) = mpsc::channel(1);
            let paging = Paging::Pages(self.page);
            let search = async {
                // Gone with the search: then there are no more batches.
                let sink = sink;
                self.pages(&asked, paging, &sink).await
            };
            let (finished, ()) = tokio::join!(search, async { while batches.recv().await.is_some() {} });
            let finished = finished?;
            if ![code::SUCCESS, code::NO_SUCH_OBJECT].contains(&finished.code) {
                return Ok(None);
            }
            all += finished.entries;
        }
        Ok(Some(all))
    }
}

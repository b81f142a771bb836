//! How many people there will be, where nobody has come before and somebody looks on: the same searches for entries without
//! attributes, over connections of their own, which overtake the reading because nothing is done with what they find.
//! Nothing but the time that is shown as left depends on it.

use std::sync::Arc;

use super::gathering::AbortOnDrop;
use super::{Importer, Selection};
use crate::import::progress::Progress;
use crate::import::reader::{ReadError, Source};

impl Importer {
    /// Counts in a task that ends with the value. Where an item is a group, whose members have to be looked for first, or a
    /// directory does not answer, nobody knows how many there will be.
    pub(super) fn count(&self, selection: &Arc<Selection>, progress: &Progress) -> AbortOnDrop<()> {
        let (importer, selection, expected) = (self.clone(), Arc::clone(selection), progress.expectation());
        AbortOnDrop(tokio::spawn(async move {
            match importer.counted(&selection).await {
                Ok(Some(people)) => expected.set(people),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "people could not be counted"),
            }
        }))
    }

    async fn counted(&self, selection: &Selection) -> Result<Option<u64>, ReadError> {
        let mut all = 0;
        for reading in selection.readings.iter().flatten() {
            let Some(place) = self.places.get(&reading.item().target) else { return Ok(None) };
            let directory = Arc::clone(&place.directory);
            let mut source = Source::open(directory, &place.base, None, self.import.patience, self.import.page).await?;
            let Some(people) = source.count(reading).await? else { return Ok(None) };
            all += people;
        }
        Ok(Some(all))
    }
}

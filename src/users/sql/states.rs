//! What an import compares of everybody.

use crate::users::profile::Fields;
use crate::users::roster::State;
use crate::users::sql::driver::Driver;
use crate::users::sql::text;
use crate::users::sql::value::{Row, fixed};
use crate::users::store::StoreResult;

/// People of one page, where they come in pages.
const PAGE: u32 = 2_000;

pub(super) fn read_state(row: &mut Row) -> StoreResult<State> {
    Ok(State {
        unique_id: row.needed_text("unique_id")?,
        name: row.needed_text("name")?,
        content: row.needed_int("content")?,
        item: row.text("item")?,
        enabled: row.flag("enabled")?,
        quarantined: row.time("quarantined")?,
        local: Fields::from_bits(row.needed_int("local")?),
    })
}

/// Shows everybody, in any order: a database that keeps people as they came is read from its beginning to its end, where
/// pages in the order of the unique ids would jump about in it.
pub(super) async fn every(driver: &dyn Driver, show: &mut (dyn FnMut(State) + Send)) -> StoreResult<()> {
    let mut shown = |mut row: Row| {
        show(read_state(&mut row)?);
        Ok(())
    };
    if driver.each(fixed(text::EVERY_STATE), &mut shown).await? {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let mut rows = driver.read(fixed(text::STATES), vec![after.as_str().into(), PAGE.into()]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in &mut rows {
            let state = read_state(row)?;
            after.clone_from(&state.unique_id);
            show(state);
        }
    }
}

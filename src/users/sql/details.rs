//! Devices, OATH tokens, PINs and blocks.

use std::time::SystemTime;

use crate::users::changes::{Difference, time_text};
use crate::users::details::{Device, Pin};
use crate::users::model::{Person, masked};
use crate::users::sealed::Sealed;
use crate::users::sql::driver::{Change, Dialect, Insertion};
use crate::users::sql::people::{current, raise, read_person};
use crate::users::sql::records::{self, Noted};
use crate::users::sql::value::{Kind, Row, Value, fixed, unreadable};
use crate::users::sql::{approvals, prompts, text};
use crate::users::store::{StoreError, StoreResult};
use crate::users::token::{Moving, Token};

const DEVICE_COLUMNS: [(&str, Kind); 7] = [
    ("unique_id", Kind::Text),
    ("place", Kind::Int),
    ("name", Kind::Text),
    ("kind", Kind::Text),
    ("token", Kind::Text),
    ("added", Kind::Int),
    ("added_by", Kind::Text),
];

/// Devices.
pub(in crate::users) static DEVICES: Insertion = Insertion::new("devices", &DEVICE_COLUMNS, "");

const TOKEN_COLUMNS: [(&str, Kind); 14] = [
    ("serial", Kind::Text),
    ("unique_id", Kind::Text),
    ("label", Kind::Text),
    ("seed", Kind::Blob),
    ("algorithm", Kind::Text),
    ("digits", Kind::Int),
    ("period", Kind::Int),
    ("counter", Kind::Int),
    ("drift", Kind::Int),
    ("last_step", Kind::Int),
    ("last_used", Kind::Int),
    ("added", Kind::Int),
    ("added_by", Kind::Text),
    ("born", Kind::Int),
];

/// OATH tokens. One whose serial is known does not come in.
pub(in crate::users) static TOKENS: Insertion = Insertion::new("tokens", &TOKEN_COLUMNS, "ON CONFLICT DO NOTHING");

/// A person's devices.
pub(in crate::users) const DEVICES_OF: &str =
    "SELECT name, kind, token FROM devices WHERE unique_id = $1 ORDER BY place";

/// Tokens of an import that does not count yet are not seen.
const SELECT_TOKEN: &str = "SELECT serial, unique_id, label, seed, algorithm, digits, period, counter, drift, \
     last_step, last_used FROM tokens WHERE born <= (SELECT current FROM people_state) AND";

/// The token with a serial.
pub(super) fn token_by_serial() -> String {
    format!("{SELECT_TOKEN} serial = $1")
}

/// A person's tokens.
pub(super) fn tokens_of() -> String {
    format!("{SELECT_TOKEN} unique_id = $1 ORDER BY serial")
}

/// Everybody's tokens.
pub(super) fn tokens_after() -> String {
    format!("{SELECT_TOKEN} serial > $1 ORDER BY serial LIMIT $2")
}

/// Uses a step of a token, if it comes after all that were used.
pub(in crate::users) const USE_CODE: &str = "UPDATE tokens SET last_step = $3, last_used = $4, drift = $5, \
     counter = CASE WHEN counter IS NULL THEN NULL ELSE $3 + 1 END \
     WHERE serial = $2 AND unique_id = $1 AND (last_step IS NULL OR last_step < $3) \
     AND (counter IS NULL OR counter <= $3) AND born <= (SELECT current FROM people_state)";

/// Replaces a seed that is still the one that was read.
pub(in crate::users) const RESEAL: &str = "UPDATE tokens SET seed = $3 WHERE serial = $1 AND seed = $2";

/// A person's PIN.
pub(in crate::users) const PIN: &str = "SELECT hash, change_required, expires FROM pins WHERE unique_id = $1";

/// Earlier PINs, latest first.
pub(in crate::users) const EARLIER_PINS: &str = "SELECT hash FROM pin_history WHERE unique_id = $1 ORDER BY place DESC";

pub(super) fn read_device(row: &mut Row) -> StoreResult<Device> {
    Ok(Device { name: row.needed_text("name")?, kind: row.needed_text("kind")?, token: row.needed_text("token")? })
}

pub(super) fn read_pin(row: &mut Row) -> StoreResult<Pin> {
    Ok(Pin {
        hash: row.needed_text("hash")?,
        change_required: row.flag("change_required")?,
        expires: row.time("expires")?,
    })
}

fn natural(number: i64, column: &str) -> StoreResult<u64> {
    u64::try_from(number).map_err(|_| unreadable(column))
}

pub(super) fn read_token(row: &mut Row) -> StoreResult<Token> {
    let (serial, unique_id, label) = (row.needed_text("serial")?, row.text("unique_id")?, row.text("label")?);
    let seed = Sealed::from_bytes(row.needed_blob("seed")?);
    let algorithm = row.word("algorithm")?;
    let digits = u32::try_from(row.needed_int("digits")?).map_err(|_| unreadable("digits"))?;
    let (period, counter) = (row.int("period")?, row.int("counter")?);
    let moving = match (period, counter) {
        (Some(period), None) => Moving::Time { period: u32::try_from(period).map_err(|_| unreadable("period"))? },
        (None, Some(next)) => Moving::Counter { next: natural(next, "counter")? },
        _ => return Err(unreadable("period")),
    };
    Ok(Token {
        serial,
        unique_id,
        label,
        seed,
        algorithm,
        digits,
        moving,
        drift: row.needed_int("drift")?,
        last_step: row.int("last_step")?.map(|step| natural(step, "last_step")).transpose()?,
        last_used: row.time("last_used")?,
    })
}

/// The person with this unique id, as a change sees them.
pub(super) async fn person(change: &mut dyn Change, unique_id: &str) -> StoreResult<Option<Person>> {
    let mut rows = change.rows(fixed(text::PERSON), vec![unique_id.into()]).await?;
    rows.first_mut().map(read_person).transpose()
}

pub(super) fn one(field: &str, before: Option<String>, after: Option<String>) -> Vec<Difference> {
    if before == after { Vec::new() } else { vec![Difference(field.into(), before, after)] }
}

pub(super) async fn note(
    change: &mut dyn Change,
    dialect: Dialect,
    person: &Person,
    kind: &str,
    by: &str,
    fields: Vec<Difference>,
) -> StoreResult<()> {
    let current = current(change).await?;
    let noted = Noted::of(&person.unique_id, &person.name, kind, by, &fields);
    records::note(change, dialect, current, vec![noted]).await
}

/// Sets or clears the end of a block.
pub(super) async fn set_block(
    change: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    until: Option<SystemTime>,
    by: &str,
) -> StoreResult<bool> {
    let Some(person) = person(change, unique_id).await? else { return Ok(false) };
    change.run(fixed(text::BLOCK), vec![unique_id.into(), until.into()]).await?;
    // What was approved before a block, or while it began, is good for nothing after it.
    change.run(fixed(approvals::DROP_PERSON), vec![unique_id.into()]).await?;
    prompts::void(change, unique_id).await?;
    let fields = one("blocked until", person.blocked_until.map(time_text), until.map(time_text));
    let kind = if until.is_some() { "blocked" } else { "unblocked" };
    note(change, dialect, &person, kind, by, fields).await?;
    raise(change).await?;
    Ok(true)
}

/// Sets the token of the device that is asked first, or takes that device away.
pub(super) async fn set_first_device(
    change: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    token: Option<&str>,
    by: &str,
) -> StoreResult<()> {
    const FIRST: &str = "(SELECT min(place) FROM devices WHERE unique_id = $1)";
    let Some(token) = token else {
        let sql = "DELETE FROM devices WHERE unique_id = $1 AND place = \
                   (SELECT min(place) FROM devices WHERE unique_id = $1)";
        return change.run(fixed(sql), vec![unique_id.into()]).await.map(|_| ());
    };
    let sql = format!("UPDATE devices SET token = $2 WHERE unique_id = $1 AND place = {FIRST}");
    let values = vec![unique_id.into(), token.into()];
    if change.run(crate::users::sql::value::built(sql), values).await? == 0 {
        let device = Device { name: "app".into(), kind: "app".into(), token: token.to_owned() };
        DEVICES.run(change, dialect, vec![device_row(unique_id, 1, &device, by)]).await?;
    }
    Ok(())
}

fn device_row(unique_id: &str, place: i64, device: &Device, by: &str) -> Vec<Value> {
    vec![
        unique_id.into(),
        place.into(),
        device.name.as_str().into(),
        device.kind.as_str().into(),
        device.token.as_str().into(),
        SystemTime::now().into(),
        by.into(),
    ]
}

/// Makes these a person's devices.
pub(super) async fn set_devices(
    change: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    devices: &[Device],
    by: &str,
) -> StoreResult<bool> {
    let Some(person) = person(change, unique_id).await? else { return Ok(false) };
    let mut before = change.rows(fixed(DEVICES_OF), vec![unique_id.into()]).await?;
    let before = before.iter_mut().map(read_device).collect::<StoreResult<Vec<_>>>()?;
    change.run(fixed("DELETE FROM devices WHERE unique_id = $1"), vec![unique_id.into()]).await?;
    let rows = (1..).zip(devices).map(|(place, device)| device_row(unique_id, place, device, by)).collect();
    DEVICES.run(change, dialect, rows).await?;
    let told = |devices: &[Device]| {
        let devices: Vec<String> = devices
            .iter()
            .map(|device| format!("{} ({}) {}", device.name, device.kind, masked(&device.token)))
            .collect();
        (!devices.is_empty()).then(|| devices.join(", "))
    };
    note(change, dialect, &person, "devices", by, one("devices", told(&before), told(devices))).await?;
    raise(change).await?;
    Ok(true)
}

/// What may be told of a token.
fn told(token: &Token) -> String {
    let moving = match token.moving {
        Moving::Time { period } => format!("{period} s"),
        Moving::Counter { .. } => "counter".to_owned(),
    };
    format!("{} ({}, {} digits, {moving})", token.serial, token.algorithm, token.digits)
}

/// The person that a change of a token is about: its owner, or nobody.
async fn owner(change: &mut dyn Change, token: &Token) -> StoreResult<Option<Person>> {
    match &token.unique_id {
        Some(unique_id) => person(change, unique_id).await,
        None => Ok(None),
    }
}

async fn note_token(
    change: &mut dyn Change,
    dialect: Dialect,
    owner: Option<&Person>,
    kind: &str,
    by: &str,
    fields: Vec<Difference>,
) -> StoreResult<()> {
    let current = current(change).await?;
    let (unique_id, name) = owner.map_or(("", ""), |person| (person.unique_id.as_str(), person.name.as_str()));
    records::note(change, dialect, current, vec![Noted::of(unique_id, name, kind, by, &fields)]).await
}

/// Adds a token.
pub(super) async fn add_token(change: &mut dyn Change, dialect: Dialect, token: &Token, by: &str) -> StoreResult<()> {
    let owner = owner(change, token).await?;
    if token.unique_id.is_some() && owner.is_none() {
        return Err(StoreError::Conflict("nobody is enrolled whose that token could be".into()));
    }
    let born = current(change).await?;
    if TOKENS.run(change, dialect, vec![token_row(token, by, born)]).await? == 0 {
        return Err(StoreError::Conflict("a token with that serial number is there already".into()));
    }
    note_token(change, dialect, owner.as_ref(), "token added", by, came(token)).await
}

/// A row for [`TOKENS`], which counts from the generation `born` on.
pub(super) fn token_row(token: &Token, by: &str, born: i64) -> Vec<Value> {
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (period, counter) = match token.moving {
        Moving::Time { period } => (Some(i64::from(period)), None),
        Moving::Counter { next } => (None, Some(integer(next))),
    };
    vec![
        token.serial.as_str().into(),
        token.unique_id.clone().into(),
        token.label.clone().into(),
        token.seed.as_bytes().to_vec().into(),
        token.algorithm.word().into(),
        token.digits.into(),
        period.into(),
        counter.into(),
        token.drift.into(),
        token.last_step.map(integer).into(),
        token.last_used.into(),
        SystemTime::now().into(),
        by.into(),
        born.into(),
    ]
}

/// What is kept of a token that has come.
pub(super) fn came(token: &Token) -> Vec<Difference> {
    one("token", None, Some(told(token)))
}

async fn token(change: &mut dyn Change, serial: &str) -> StoreResult<Option<Token>> {
    let sql = crate::users::sql::value::built(token_by_serial());
    change.rows(sql, vec![serial.into()]).await?.first_mut().map(read_token).transpose()
}

/// Replaces owner, label, seed and drift of a token.
pub(super) async fn set_token(
    change: &mut dyn Change,
    dialect: Dialect,
    wanted: &Token,
    by: &str,
) -> StoreResult<bool> {
    let Some(before) = token(change, &wanted.serial).await? else { return Ok(false) };
    let (old, new) = (owner(change, &before).await?, owner(change, wanted).await?);
    if wanted.unique_id.is_some() && new.is_none() {
        return Err(StoreError::Conflict("nobody is enrolled whose that token could be".into()));
    }
    const SET: &str = "UPDATE tokens SET unique_id = $2, label = $3, seed = $4, drift = $5 WHERE serial = $1";
    let values = vec![
        wanted.serial.as_str().into(),
        wanted.unique_id.clone().into(),
        wanted.label.clone().into(),
        wanted.seed.as_bytes().to_vec().into(),
        wanted.drift.into(),
    ];
    change.run(fixed(SET), values).await?;
    let mut fields = one("token label", before.label.clone(), wanted.label.clone());
    if before.unique_id != wanted.unique_id {
        let name = |person: &Option<Person>| person.as_ref().map(|person| person.name.clone());
        fields.extend(one("token of", name(&old), name(&new)));
    }
    if fields.is_empty() {
        // Sealed anew, or a drift that was measured: nothing that anybody has changed.
        return Ok(true);
    }
    fields.insert(0, Difference("token".into(), Some(told(&before)), Some(told(&before))));
    note_token(change, dialect, new.as_ref().or(old.as_ref()), "token changed", by, fields).await?;
    Ok(true)
}

/// Removes a token.
pub(super) async fn remove_token(
    change: &mut dyn Change,
    dialect: Dialect,
    serial: &str,
    by: &str,
) -> StoreResult<bool> {
    let Some(before) = token(change, serial).await? else { return Ok(false) };
    let owner = owner(change, &before).await?;
    change.run(fixed("DELETE FROM tokens WHERE serial = $1"), vec![serial.into()]).await?;
    note_token(change, dialect, owner.as_ref(), "token removed", by, one("token", Some(told(&before)), None)).await?;
    Ok(true)
}

/// Sets or clears a PIN.
pub(super) async fn set_pin(
    change: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    pin: Option<&Pin>,
    keep: u32,
    by: &str,
) -> StoreResult<bool> {
    const OLD_TO_HISTORY: &str = "INSERT INTO pin_history (unique_id, place, hash) \
         SELECT unique_id, 1 + coalesce((SELECT max(place) FROM pin_history WHERE unique_id = $1), 0), hash \
         FROM pins WHERE unique_id = $1";
    const SET: &str = "INSERT INTO pins (unique_id, hash, change_required, expires, set_at, set_by) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (unique_id) DO UPDATE SET hash = excluded.hash, \
         change_required = excluded.change_required, expires = excluded.expires, set_at = excluded.set_at, \
         set_by = excluded.set_by";
    const FORGET: &str = "DELETE FROM pin_history WHERE unique_id = $1 AND place <= \
         (SELECT max(place) FROM pin_history WHERE unique_id = $1) - $2";
    let Some(person) = person(change, unique_id).await? else { return Ok(false) };
    let Some(pin) = pin else {
        change.run(fixed("DELETE FROM pin_history WHERE unique_id = $1"), vec![unique_id.into()]).await?;
        if change.run(fixed("DELETE FROM pins WHERE unique_id = $1"), vec![unique_id.into()]).await? > 0 {
            note(change, dialect, &person, "PIN removed", by, Vec::new()).await?;
        }
        return Ok(true);
    };
    change.run(fixed(OLD_TO_HISTORY), vec![unique_id.into()]).await?;
    let values = vec![
        unique_id.into(),
        pin.hash.as_str().into(),
        pin.change_required.into(),
        pin.expires.into(),
        SystemTime::now().into(),
        by.into(),
    ];
    change.run(fixed(SET), values).await?;
    change.run(fixed(FORGET), vec![unique_id.into(), keep.into()]).await?;
    note(change, dialect, &person, "PIN set", by, Vec::new()).await?;
    Ok(true)
}

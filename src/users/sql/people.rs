//! People as rows and back, and the changes that administrators and people make themselves.

use std::collections::HashSet;
use std::time::SystemTime;

use crate::users::changes::{Difference, differences};
use crate::users::model::Person;
use crate::users::profile::{Fields, NameKind, Profile, Stamp};
use crate::users::sql::driver::{Change, Dialect, Insertion, Rows};
use crate::users::sql::records::{self, Noted};
use crate::users::sql::text::{self, ALIVE};
use crate::users::sql::value::{Cell, Kind, Row, Value, built, fixed, list, micros, unreadable};
use crate::users::sql::{details, text::OTHER_CLAIMS};
use crate::users::store::{StoreError, StoreResult};

/// The columns of a version of a person, in the order of [`put_version`].
const COLUMNS: [(&str, Kind); 28] = [
    ("unique_id", Kind::Text),
    ("died", Kind::Int),
    ("born", Kind::Int),
    ("name", Kind::Text),
    ("upn", Kind::Text),
    ("dn", Kind::Text),
    ("first_name", Kind::Text),
    ("last_name", Kind::Text),
    ("email", Kind::Text),
    ("phone", Kind::Text),
    ("phone_extension", Kind::Text),
    ("method", Kind::Text),
    ("language", Kind::Text),
    ("enabled", Kind::Int),
    ("aliases", Kind::Text),
    ("user_group", Kind::Text),
    ("description", Kind::Text),
    ("backup_phone", Kind::Text),
    ("backup_extension", Kind::Text),
    ("mode", Kind::Text),
    ("local", Kind::Int),
    ("item", Kind::Text),
    ("content", Kind::Int),
    ("quarantined", Kind::Int),
    ("created", Kind::Int),
    ("created_by", Kind::Text),
    ("changed", Kind::Int),
    ("changed_by", Kind::Text),
];

const NAME_COLUMNS: [(&str, Kind); 5] =
    [("folded", Kind::Text), ("died", Kind::Int), ("born", Kind::Int), ("kind", Kind::Text), ("unique_id", Kind::Text)];

/// Versions of people. One whose key is taken does not come in.
pub(in crate::users) static PEOPLE: Insertion = Insertion::new("people", &COLUMNS, "ON CONFLICT DO NOTHING");

/// Claims of names. One that is somebody's already does not come in.
pub(in crate::users) static NAMES: Insertion = Insertion::new("names", &NAME_COLUMNS, "ON CONFLICT DO NOTHING");

/// A row for [`PEOPLE`].
pub(super) fn version_row(profile: &Profile, born: i64) -> Vec<Value> {
    let mut cells = Vec::with_capacity(COLUMNS.len());
    put_version(profile, born, &mut cells);
    cells.into_iter().map(Value::from).collect()
}

/// People who come, as rows for [`PEOPLE`].
pub(super) struct Arrivals<'a> {
    pub(super) profiles: &'a [Profile],
    pub(super) born: i64,
}

impl Rows for Arrivals<'_> {
    fn len(&self) -> usize {
        self.profiles.len()
    }

    fn row<'a>(&'a self, place: usize, cells: &mut Vec<Cell<'a>>) {
        if let Some(profile) = self.profiles.get(place) {
            put_version(profile, self.born, cells);
        }
    }
}

fn put_version<'a>(profile: &'a Profile, born: i64, cells: &mut Vec<Cell<'a>>) {
    cells.extend([Cell::from(profile.person.unique_id.as_str()), ALIVE.into(), born.into()]);
    cells.extend(cells_of(profile));
}

/// A row for [`NAMES`].
pub(super) fn name_row(folded: String, kind: NameKind, unique_id: &str, born: i64, died: i64) -> Vec<Value> {
    vec![folded.into(), died.into(), born.into(), kind.word().into(), unique_id.into()]
}

/// All but the key, in the order of [`COLUMNS`] and of [`text::UPDATE_PERSON`].
fn cells_of(profile: &Profile) -> [Cell<'_>; COLUMNS.len() - 3] {
    let person = &profile.person;
    [
        person.name.as_str().into(),
        person.upn.as_deref().into(),
        person.dn.as_deref().into(),
        person.first_name.as_deref().into(),
        person.last_name.as_deref().into(),
        person.email.as_deref().into(),
        person.phone.as_deref().into(),
        person.phone_extension.as_deref().into(),
        Cell::Word(person.method.word()),
        person.language.as_str().into(),
        person.enabled.into(),
        if profile.aliases.is_empty() { Cell::Text(None) } else { Cell::List(&profile.aliases) },
        profile.group.as_deref().into(),
        profile.description.as_deref().into(),
        profile.backup_phone.as_deref().into(),
        profile.backup_extension.as_deref().into(),
        Cell::Word(person.mode.word()),
        profile.local.bits().into(),
        profile.item.as_deref().into(),
        profile.content.into(),
        Cell::Int(profile.quarantined.map(micros)),
        micros(profile.created.time).into(),
        profile.created.by.as_str().into(),
        micros(profile.changed.time).into(),
        profile.changed.by.as_str().into(),
    ]
}

/// Reads what a sign-in needs.
pub(super) fn read_person(row: &mut Row) -> StoreResult<Person> {
    Ok(Person {
        unique_id: row.needed_text("unique_id")?,
        name: row.needed_text("name")?,
        upn: row.text("upn")?,
        dn: row.text("dn")?,
        first_name: row.text("first_name")?,
        last_name: row.text("last_name")?,
        email: row.text("email")?,
        phone: row.text("phone")?,
        phone_extension: row.text("phone_extension")?,
        device_token: row.text("token")?,
        method: row.word("method")?,
        mode: row.word("mode")?,
        language: row.needed_text("language")?,
        enabled: row.flag("enabled")?,
        blocked_until: row.time("blocked_until")?,
    })
}

/// A version of a profile, and the generations in which it begins and ceases to count.
pub(super) struct Version {
    pub(super) profile: Profile,
    pub(super) born: i64,
    pub(super) died: i64,
}

pub(super) fn read_version(row: &mut Row) -> StoreResult<Version> {
    let profile = Profile {
        person: read_person(row)?,
        aliases: match row.text("aliases")? {
            Some(json) => serde_json::from_str(&json).map_err(|_| unreadable("aliases"))?,
            None => Vec::new(),
        },
        group: row.text("user_group")?,
        description: row.text("description")?,
        backup_phone: row.text("backup_phone")?,
        backup_extension: row.text("backup_extension")?,
        local: Fields::from_bits(row.needed_int("local")?),
        item: row.text("item")?,
        content: row.needed_int("content")?,
        quarantined: row.time("quarantined")?,
        created: Stamp { time: row.needed_time("created")?, by: row.needed_text("created_by")? },
        changed: Stamp { time: row.needed_time("changed")?, by: row.needed_text("changed_by")? },
    };
    Ok(Version { profile, born: row.needed_int("born")?, died: row.needed_int("died")? })
}

pub(super) fn read_profile(row: &mut Row) -> StoreResult<Profile> {
    read_version(row).map(|version| version.profile)
}

/// The generation that counts.
pub(super) async fn current(change: &mut dyn Change) -> StoreResult<i64> {
    let mut rows = change.rows(fixed(text::CURRENT), vec![]).await?;
    rows.first_mut().ok_or_else(|| unreadable("current"))?.needed_int("current")
}

/// What counts of a person, and what an import is about to make count.
pub(super) struct Versions {
    pub(super) now: Option<Version>,
    pub(super) staged: Option<Version>,
}

pub(super) async fn versions(change: &mut dyn Change, unique_id: &str, current: i64) -> StoreResult<Versions> {
    let mut found = Versions { now: None, staged: None };
    for mut row in change.rows(fixed(text::VERSIONS), vec![unique_id.into()]).await? {
        let version = read_version(&mut row)?;
        if version.born <= current {
            found.now = Some(version);
        } else {
            found.staged = Some(version);
        }
    }
    Ok(found)
}

/// Gives fields back to the import.
pub(super) async fn release(
    opened: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    fields: Fields,
    by: &str,
) -> StoreResult<Option<Vec<Difference>>> {
    let current = current(opened).await?;
    let Some(now) = versions(opened, unique_id, current).await?.now else { return Ok(None) };
    change(opened, dialect, &now.profile, fields, by).await
}

/// Adds a person.
pub(super) async fn enrol(change: &mut dyn Change, dialect: Dialect, profile: &Profile, by: &str) -> StoreResult<()> {
    let now = Stamp { time: SystemTime::now(), by: by.to_owned() };
    let profile = Profile { created: now.clone(), changed: now, ..profile.clone() };
    let person = &profile.person;
    let current = current(change).await?;
    if PEOPLE.run(change, dialect, vec![version_row(&profile, current)]).await? == 0 {
        return Err(StoreError::Conflict("the unique id belongs to an enrolled person already".into()));
    }
    claim(change, dialect, &profile, &HashSet::new()).await?;
    insert_names(change, dialect, name_rows(&person.unique_id, Some(&profile), current, None)).await?;
    if let Some(token) = &person.device_token {
        details::set_first_device(change, dialect, &person.unique_id, Some(token), by).await?;
    }
    if let Some(until) = person.blocked_until {
        change.run(fixed(text::BLOCK), vec![person.unique_id.as_str().into(), until.into()]).await?;
    }
    let noted = vec![Noted::came(&profile, by)];
    records::note_at(change, dialect, current, noted, profile.created.time).await?;
    raise(change).await
}

/// Replaces a profile, in the version that counts and in the one that an import is about to make count. What
/// differs becomes local, but for what is released.
pub(super) async fn change(
    change: &mut dyn Change,
    dialect: Dialect,
    wanted: &Profile,
    released: Fields,
    by: &str,
) -> StoreResult<Option<Vec<Difference>>> {
    let unique_id = wanted.person.unique_id.as_str();
    let current = current(change).await?;
    let Versions { now: Some(now), staged } = versions(change, unique_id, current).await? else { return Ok(None) };
    let before = now.profile.clone();
    let differing = wanted.differing(&before);
    let mut after = Profile { created: before.created.clone(), ..wanted.clone() };
    after.person.blocked_until = before.person.blocked_until;
    let local = differing.iter().fold(before.local, Fields::with);
    after.local = released.iter().fold(local, Fields::without);
    if after.person.enabled && !before.person.enabled {
        after.quarantined = None;
    }
    let fields = differences(Some(&before), Some(&after));
    if fields.is_empty() && after == before {
        return Ok(Some(fields));
    }
    after.changed = Stamp { time: SystemTime::now(), by: by.to_owned() };

    let held: HashSet<String> = before.names().into_iter().map(|(folded, _)| folded).collect();
    claim(change, dialect, &after, &held).await?;
    let staged_before = staged.as_ref().map(|staged| staged.profile.clone());
    let staged = staged.map(|mut staged| {
        differing.iter().for_each(|field| field.copy(&after, &mut staged.profile));
        staged.profile.local = after.local;
        staged
    });
    drop_names(change, dialect, unique_id, [Some(&before), staged_before.as_ref()].into_iter().flatten()).await?;
    let later = match &staged {
        Some(staged) => Some((Some(&staged.profile), staged.born)),
        None => (now.died != ALIVE).then_some((None, now.died)),
    };
    let rows = name_rows(unique_id, Some(&after), current, later);
    insert_names(change, dialect, rows).await?;
    update(change, &after, now.born).await?;
    if let Some(staged) = &staged {
        update(change, &staged.profile, staged.born).await?;
    }
    if after.person.device_token != before.person.device_token {
        let token = after.person.device_token.as_deref();
        details::set_first_device(change, dialect, unique_id, token, by).await?;
    }
    records::note(change, dialect, current, vec![Noted::new(&after, "changed", by, &fields)]).await?;
    raise(change).await?;
    Ok(Some(fields))
}

pub(super) async fn update(change: &mut dyn Change, profile: &Profile, born: i64) -> StoreResult<()> {
    let mut values = vec![Value::from(profile.person.unique_id.as_str()), Value::from(born)];
    values.extend(cells_of(profile).map(Value::from));
    change.run(fixed(text::UPDATE_PERSON), values).await.map(|_| ())
}

/// Refuses names that somebody else has, or is about to get from an import. `held` are the person's own already.
async fn claim(
    change: &mut dyn Change,
    dialect: Dialect,
    profile: &Profile,
    held: &HashSet<String>,
) -> StoreResult<()> {
    let wanted: Vec<String> =
        profile.names().into_iter().map(|(folded, _)| folded).filter(|folded| !held.contains(folded)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let sql = built(format!("{OTHER_CLAIMS}{}", dialect.listed(2)));
    let others = change.rows(sql, vec![profile.person.unique_id.as_str().into(), list(&wanted)]).await?;
    if others.is_empty() { Ok(()) } else { Err(taken()) }
}

fn taken() -> StoreError {
    StoreError::Conflict("the login name or UPN belongs to another enrolled person".into())
}

async fn insert_names(change: &mut dyn Change, dialect: Dialect, rows: Vec<Vec<Value>>) -> StoreResult<()> {
    let wanted = rows.len();
    let inserted = NAMES.run(change, dialect, rows).await?;
    if usize::try_from(inserted).is_ok_and(|inserted| inserted == wanted) { Ok(()) } else { Err(taken()) }
}

/// The rows for the names of a person: those that count, and those that are about to. `later` is what an import
/// is about to make of them, and in which generation: somebody else's names, or no person any more.
pub(super) fn name_rows(
    unique_id: &str,
    now: Option<&Profile>,
    current: i64,
    later: Option<(Option<&Profile>, i64)>,
) -> Vec<Vec<Value>> {
    let (mut coming, generation) = match later {
        Some((profile, generation)) => (profile.map(Profile::names).unwrap_or_default(), Some(generation)),
        None => (Vec::new(), None),
    };
    let mut rows = Vec::new();
    for (folded, kind) in now.map(Profile::names).unwrap_or_default() {
        let stays = coming.iter().position(|(name, _)| *name == folded);
        if let Some(place) = stays {
            coming.swap_remove(place);
        }
        // Without an import under way nothing ends.
        let died = generation.filter(|_| stays.is_none()).unwrap_or(ALIVE);
        rows.push(name_row(folded, kind, unique_id, current, died));
    }
    for (folded, kind) in coming {
        rows.push(name_row(folded, kind, unique_id, generation.unwrap_or(current), ALIVE));
    }
    rows
}

/// Gives up, at once, every name of these profiles that counts or is about to.
pub(super) async fn drop_names(
    change: &mut dyn Change,
    dialect: Dialect,
    unique_id: &str,
    profiles: impl Iterator<Item = &Profile>,
) -> StoreResult<()> {
    let names: HashSet<String> = profiles.flat_map(Profile::names).map(|(folded, _)| folded).collect();
    let names: Vec<String> = names.into_iter().collect();
    let sql = built(format!("{}{}", text::NAMES_OF, dialect.listed(2)));
    for mut row in change.rows(sql, vec![unique_id.into(), list(&names)]).await? {
        let (folded, _, died) = (row.needed_text("folded")?, row.needed_int("born")?, row.needed_int("died")?);
        change.run(fixed(text::DROP_NAME), vec![folded.into(), died.into(), unique_id.into()]).await?;
    }
    Ok(())
}

/// Removes a person and everything of theirs, also what an import is about to make count.
pub(super) async fn dismiss(change: &mut dyn Change, dialect: Dialect, unique_id: &str, by: &str) -> StoreResult<bool> {
    let current = current(change).await?;
    let Versions { now: Some(now), staged } = versions(change, unique_id, current).await? else { return Ok(false) };
    let staged = staged.map(|staged| staged.profile);
    drop_names(change, dialect, unique_id, [Some(&now.profile), staged.as_ref()].into_iter().flatten()).await?;
    for sql in text::ERASE {
        change.run(fixed(sql), vec![unique_id.into()]).await?;
    }
    let fields = differences(Some(&now.profile), None);
    records::note(change, dialect, current, vec![Noted::new(&now.profile, "removed", by, &fields)]).await?;
    raise(change).await?;
    Ok(true)
}

/// Tells every running server that people have changed.
pub(super) async fn raise(change: &mut dyn Change) -> StoreResult<()> {
    change.run(fixed(text::RAISE_VERSION), vec![]).await.map(|_| ())
}

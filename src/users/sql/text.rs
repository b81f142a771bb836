//! The statements about people. A person has one row a *version*: `born` is the generation in which it begins
//! to count, `died` the one in which it no longer does ([`ALIVE`] while no end is in sight). The row that
//! counts is `born <= current AND died > current`, and `current` is read in the same statement: so an import
//! that has written 200,000 versions under a later generation is not seen at all, and then, when `current`
//! moves, seen as a whole. Names work alike.

/// `died` of a version whose end is not in sight.
pub(in crate::users) const ALIVE: i64 = i64::MAX;

/// The condition that the version `$alias` counts now.
macro_rules! counts {
    ($alias:literal) => {
        concat!(
            $alias,
            ".died > (SELECT current FROM people_state) AND ",
            $alias,
            ".born <= (SELECT current FROM people_state)"
        )
    };
}

/// The columns of what a sign-in needs, in the order in which they are read back.
macro_rules! person_columns {
    () => {
        "p.unique_id, p.name, p.upn, p.dn, p.first_name, p.last_name, p.email, p.phone, p.phone_extension, \
         (SELECT d.token FROM devices d WHERE d.unique_id = p.unique_id ORDER BY d.place LIMIT 1), \
         p.method, p.mode, p.language, p.enabled, s.blocked_until"
    };
}

/// The columns of a whole profile.
macro_rules! profile_columns {
    () => {
        concat!(
            person_columns!(),
            ", p.aliases, p.user_group, p.description, p.backup_phone, p.backup_extension, p.local, \
             p.item, p.content, p.quarantined, p.created, p.created_by, p.changed, p.changed_by, p.born, p.died"
        )
    };
}

macro_rules! people_tables {
    () => {
        "FROM people p LEFT JOIN standing s ON s.unique_id = p.unique_id "
    };
}

macro_rules! named_tables {
    () => {
        "FROM names n JOIN people p ON p.unique_id = n.unique_id \
         LEFT JOIN standing s ON s.unique_id = p.unique_id "
    };
}

/// The person with a unique id, as a sign-in needs them.
pub(super) const PERSON: &str =
    concat!("SELECT ", person_columns!(), " ", people_tables!(), "WHERE p.unique_id = $1 AND ", counts!("p"));

/// The person with a folded name, as a sign-in needs them.
pub(super) const PERSON_NAMED: &str = concat!(
    "SELECT ",
    person_columns!(),
    " ",
    named_tables!(),
    "WHERE n.folded = $1 AND ",
    counts!("n"),
    " AND ",
    counts!("p")
);

/// People in order of their folded login name.
pub(super) const PEOPLE: &str = concat!(
    "SELECT ",
    person_columns!(),
    " ",
    named_tables!(),
    "WHERE n.folded > $1 AND n.kind = 'name' AND ",
    counts!("n"),
    " AND ",
    counts!("p"),
    " ORDER BY n.folded LIMIT $2"
);

/// The profile with a unique id.
pub(super) const PROFILE: &str =
    concat!("SELECT ", profile_columns!(), " ", people_tables!(), "WHERE p.unique_id = $1 AND ", counts!("p"));

/// The profile with a folded name.
pub(super) const PROFILE_NAMED: &str = concat!(
    "SELECT ",
    profile_columns!(),
    " ",
    named_tables!(),
    "WHERE n.folded = $1 AND ",
    counts!("n"),
    " AND ",
    counts!("p")
);

/// Profiles in order of their folded login name.
pub(super) const PROFILES: &str = concat!(
    "SELECT ",
    profile_columns!(),
    " ",
    named_tables!(),
    "WHERE n.folded > $1 AND n.kind = 'name' AND ",
    counts!("n"),
    " AND ",
    counts!("p"),
    " ORDER BY n.folded LIMIT $2"
);

/// Every version that counts or is to count. `$1` is the unique id.
pub(super) const VERSIONS: &str = concat!(
    "SELECT ",
    profile_columns!(),
    " ",
    people_tables!(),
    "WHERE p.unique_id = $1 AND p.died > (SELECT current FROM people_state) ORDER BY p.born"
);

/// Profiles of a list of unique ids; its text goes on with the list.
pub(super) const PROFILES_OF: &str =
    concat!("SELECT ", profile_columns!(), " ", people_tables!(), "WHERE ", counts!("p"), " AND p.unique_id IN ");

/// The versions, of a list of people, whose end is not in sight: what an import has made of them, or else what counts;
/// its text goes on with the list.
pub(super) const LATEST_OF: &str = concat!(
    "SELECT ",
    profile_columns!(),
    " ",
    people_tables!(),
    "WHERE p.died = 9223372036854775807 AND p.unique_id IN "
);

macro_rules! state_columns {
    () => {
        "SELECT p.unique_id, p.name, p.content, p.item, p.enabled, p.quarantined, p.local FROM people p WHERE "
    };
}

/// What an import compares, in order of the unique id.
pub(super) const STATES: &str =
    concat!(state_columns!(), "p.unique_id > $1 AND ", counts!("p"), " ORDER BY p.unique_id LIMIT $2");

/// What an import compares, of everybody in any order.
pub(super) const EVERY_STATE: &str = concat!(state_columns!(), counts!("p"));

/// What an import compares, of a list of unique ids; its text goes on with the list.
pub(super) const STATES_OF: &str = concat!(state_columns!(), counts!("p"), " AND p.unique_id IN ");

/// The login names of a list of unique ids; its text goes on with the list.
pub(super) const NAMES_NOW: &str =
    concat!("SELECT p.unique_id, p.name FROM people p WHERE ", counts!("p"), " AND p.unique_id IN ");

/// Who holds the names of a list; its text goes on with the list.
pub(super) const CLAIMS: &str =
    concat!("SELECT n.folded, n.unique_id FROM names n WHERE ", counts!("n"), " AND n.folded IN ");

/// Who holds the names of a list, now or from the next generation on, but for one person.
pub(super) const OTHER_CLAIMS: &str = "SELECT n.folded, n.unique_id FROM names n \
     WHERE n.unique_id <> $1 AND n.died > (SELECT current FROM people_state) AND n.folded IN ";

/// People who have been in quarantine since before a time, longest first.
pub(super) const QUARANTINED: &str = concat!(
    "SELECT p.unique_id FROM people p WHERE p.quarantined < $1 AND ",
    counts!("p"),
    " ORDER BY p.quarantined LIMIT $2"
);

/// How many people there are.
pub(super) const COUNT: &str = concat!("SELECT count(*) FROM people p WHERE ", counts!("p"));

/// The number that goes up with every change of people that is seen.
pub(super) const VERSION: &str = "SELECT version FROM people_state";

/// Raises it.
pub(super) const RAISE_VERSION: &str = "UPDATE people_state SET version = version + 1";

/// The generation that counts.
pub(super) const CURRENT: &str = "SELECT current FROM people_state";

/// Sets all but the versions' own columns of one version. `$1` is the unique id, `$2` its `born`.
pub(super) const UPDATE_PERSON: &str = "UPDATE people SET name = $3, upn = $4, dn = $5, first_name = $6, \
     last_name = $7, email = $8, phone = $9, phone_extension = $10, method = $11, language = $12, enabled = $13, \
     aliases = $14, user_group = $15, description = $16, backup_phone = $17, backup_extension = $18, mode = $19, \
     local = $20, item = $21, content = $22, quarantined = $23, created = $24, created_by = $25, changed = $26, \
     changed_by = $27 WHERE unique_id = $1 AND born = $2";

/// Ends every version of a person with the generation `$2`.
pub(super) const END_PERSON: &str =
    "UPDATE people SET died = $2 WHERE unique_id = $1 AND died = 9223372036854775807 AND born < $2";

/// Ends every version of a list of people with the generation `$1`; its text goes on with the list.
pub(super) const END_PEOPLE: &str =
    "UPDATE people SET died = $1 WHERE died = 9223372036854775807 AND born < $1 AND unique_id IN ";

/// Takes back what is staged of a person. `$2` is the generation that counts.
pub(super) const UNSTAGE_PERSON: &str = "DELETE FROM people WHERE unique_id = $1 AND born > $2";

/// The names of a person, out of a list, that count or are to count; its text goes on with the list.
pub(super) const NAMES_OF: &str = "SELECT folded, born, died FROM names \
     WHERE unique_id = $1 AND died > (SELECT current FROM people_state) AND folded IN ";

/// Gives up a name at once.
pub(super) const DROP_NAME: &str = "DELETE FROM names WHERE folded = $1 AND died = $2 AND unique_id = $3";

/// Everything of a person but their names, one statement a table, details before the person.
pub(super) const ERASE: [&str; 13] = [
    super::approvals::DROP_PERSON,
    super::prompts::ERASE,
    super::prompts::ERASE_OUT,
    "DELETE FROM codes WHERE unique_id = $1",
    "DELETE FROM tries WHERE unique_id = $1",
    "DELETE FROM sent_codes WHERE unique_id = $1",
    "DELETE FROM rounds WHERE unique_id = $1",
    "DELETE FROM pin_history WHERE unique_id = $1",
    "DELETE FROM pins WHERE unique_id = $1",
    "DELETE FROM tokens WHERE unique_id = $1",
    "DELETE FROM devices WHERE unique_id = $1",
    "DELETE FROM standing WHERE unique_id = $1",
    "DELETE FROM people WHERE unique_id = $1",
];

/// Sets or clears the end of a block.
pub(super) const BLOCK: &str = "INSERT INTO standing (unique_id, blocked_until) VALUES ($1, $2) \
     ON CONFLICT (unique_id) DO UPDATE SET blocked_until = excluded.blocked_until";

/// Whether an account came in from an address, for a reason, before a time.
pub(super) const HAS_COME_FROM: &str = "SELECT CAST(1 AS BIGINT) FROM events WHERE unique_id = $1 AND source = $2 \
     AND reason = $3 AND verdict = 'accept' AND time < $4 ORDER BY time DESC LIMIT 1";

#[cfg(test)]
/// Statements whose text is whole, for the test that prepares each on each database.
pub(in crate::users) const FIXED: [&str; 19] = [
    PERSON,
    PERSON_NAMED,
    PEOPLE,
    PROFILE,
    PROFILE_NAMED,
    PROFILES,
    VERSIONS,
    STATES,
    EVERY_STATE,
    QUARANTINED,
    COUNT,
    VERSION,
    RAISE_VERSION,
    CURRENT,
    UPDATE_PERSON,
    END_PERSON,
    UNSTAGE_PERSON,
    DROP_NAME,
    BLOCK,
];

#[cfg(test)]
/// Statements that go on with a list, and which parameter the list is.
pub(in crate::users) const LISTING: [(&str, usize); 8] = [
    (NAMES_NOW, 1),
    (PROFILES_OF, 1),
    (LATEST_OF, 1),
    (STATES_OF, 1),
    (CLAIMS, 1),
    (OTHER_CLAIMS, 2),
    (NAMES_OF, 2),
    (END_PEOPLE, 2),
];

//! Every table with every column, to carry a whole store from one database to another.

use crate::users::sql::driver::{Change, Insertion};
use crate::users::sql::value::Kind::{Blob, Int, Text};
use crate::users::sql::value::{Kind, Row, Value, built};
use crate::users::store::StoreResult;

/// A table.
#[derive(Debug)]
pub(in crate::users) struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    insertion: Insertion,
}

macro_rules! table {
    ($name:literal, [$(($column:literal, $kind:ident)),* $(,)?]) => {
        Table {
            name: $name,
            columns: &[$(($column, $kind)),*],
            insertion: Insertion::new($name, &[$(($column, $kind)),*], ""),
        }
    };
}

/// All of them; a table that refers to another comes after it.
pub(in crate::users) static TABLES: [Table; 23] = [
    table!("people_state", [("one", Int), ("current", Int), ("newest", Int), ("version", Int)]),
    table!(
        "people",
        [
            ("unique_id", Text),
            ("died", Int),
            ("born", Int),
            ("name", Text),
            ("upn", Text),
            ("dn", Text),
            ("first_name", Text),
            ("last_name", Text),
            ("email", Text),
            ("phone", Text),
            ("phone_extension", Text),
            ("method", Text),
            ("language", Text),
            ("enabled", Int),
            ("aliases", Text),
            ("user_group", Text),
            ("description", Text),
            ("backup_phone", Text),
            ("backup_extension", Text),
            ("mode", Text),
            ("local", Int),
            ("item", Text),
            ("content", Int),
            ("quarantined", Int),
            ("created", Int),
            ("created_by", Text),
            ("changed", Int),
            ("changed_by", Text),
        ]
    ),
    table!("names", [("folded", Text), ("died", Int), ("born", Int), ("kind", Text), ("unique_id", Text)]),
    table!("standing", [("unique_id", Text), ("blocked_until", Int), ("last_sign_in", Int)]),
    table!(
        "devices",
        [
            ("unique_id", Text),
            ("place", Int),
            ("name", Text),
            ("kind", Text),
            ("token", Text),
            ("added", Int),
            ("added_by", Text),
        ]
    ),
    table!(
        "tokens",
        [
            ("serial", Text),
            ("unique_id", Text),
            ("label", Text),
            ("seed", Blob),
            ("algorithm", Text),
            ("digits", Int),
            ("period", Int),
            ("counter", Int),
            ("drift", Int),
            ("last_step", Int),
            ("last_used", Int),
            ("added", Int),
            ("added_by", Text),
            ("born", Int),
        ]
    ),
    table!(
        "pins",
        [
            ("unique_id", Text),
            ("hash", Text),
            ("change_required", Int),
            ("expires", Int),
            ("set_at", Int),
            ("set_by", Text),
        ]
    ),
    table!("pin_history", [("unique_id", Text), ("place", Int), ("hash", Text)]),
    table!(
        "codes",
        [
            ("unique_id", Text),
            ("hash", Text),
            ("place", Int),
            ("kind", Text),
            ("uses", Int),
            ("expires", Int),
            ("reason", Text),
            ("added", Int),
            ("added_by", Text),
        ]
    ),
    table!("tries", [("unique_id", Text), ("kind", Text), ("wrong", Int), ("last", Int)]),
    table!(
        "sent_codes",
        [
            ("unique_id", Text),
            ("provider", Text),
            ("code", Blob),
            ("expires", Int),
            ("tries", Int),
            ("began", Int),
            ("number", Int),
        ]
    ),
    table!("rounds", [("reference", Text), ("holder", Text), ("unique_id", Text), ("sealed", Blob), ("until", Int)]),
    table!("shared_secrets", [("name", Text), ("sealed", Blob)]),
    table!(
        "changes",
        [
            ("id", Int),
            ("time", Int),
            ("changed_by", Text),
            ("unique_id", Text),
            ("name", Text),
            ("kind", Text),
            ("fields", Text),
            ("generation", Int),
        ]
    ),
    table!(
        "events",
        [
            ("id", Int),
            ("time", Int),
            ("sign_in", Text),
            ("door", Text),
            ("client", Text),
            ("application", Text),
            ("name", Text),
            ("unique_id", Text),
            ("account", Text),
            ("source", Text),
            ("person_address", Text),
            ("method", Text),
            ("provider", Text),
            ("primary_result", Text),
            ("factor_result", Text),
            ("verdict", Text),
            ("reason", Text),
            ("requests", Int),
            ("identify_us", Int),
            ("primary_us", Int),
            ("policy_us", Int),
            ("factor_us", Int),
            ("total_us", Int),
            ("server", Text),
            ("rule", Text),
            ("earlier", Text),
        ]
    ),
    table!(
        "approvals",
        [
            ("key", Blob),
            ("unique_id", Text),
            ("name", Text),
            ("rule", Text),
            ("kind", Text),
            ("client", Text),
            ("application", Text),
            ("place", Text),
            ("method", Text),
            ("provider", Text),
            ("approved", Int),
            ("until", Int),
            ("sign_in", Text),
        ]
    ),
    table!(
        "accounting",
        [
            ("id", Int),
            ("time", Int),
            ("client", Text),
            ("source", Text),
            ("status", Text),
            ("session", Text),
            ("name", Text),
            ("octets_in", Int),
            ("octets_out", Int),
            ("session_seconds", Int),
        ]
    ),
    table!(
        "letters",
        [
            ("id", Int),
            ("about", Text),
            ("kind", Text),
            ("made", Int),
            ("due", Int),
            ("tries", Int),
            ("generation", Int),
        ]
    ),
    table!(
        "measures",
        [
            ("id", Int),
            ("time", Int),
            ("kind", Text),
            ("unique_id", Text),
            ("name", Text),
            ("made_by", Text),
            ("reason", Text),
            ("until", Int),
            ("sign_in", Text),
            ("used", Int),
        ]
    ),
    table!("import_lock", [("one", Int), ("node", Text), ("token", Int), ("until", Int)]),
    table!("import_memory", [("key", Text), ("value", Blob)]),
    table!(
        "import_runs",
        [
            ("id", Int),
            ("began", Int),
            ("ended", Int),
            ("node", Text),
            ("item", Text),
            ("result", Text),
            ("summary", Text),
        ]
    ),
    table!(
        "import_plans",
        [
            ("id", Text),
            ("made", Int),
            ("item", Text),
            ("reason", Text),
            ("summary", Text),
            ("approved", Int),
            ("approved_by", Text),
        ]
    ),
];

impl Table {
    /// Its name.
    pub(in crate::users) fn name(&self) -> &'static str {
        self.name
    }

    /// Its columns as a list for SQL.
    pub(in crate::users) fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The insertion of whole rows.
    pub(in crate::users) fn insertion(&self) -> &Insertion {
        &self.insertion
    }

    /// A row that was read with [`Table::names`], for its insertion: nothing has the kind of its column again.
    pub(in crate::users) fn row(&self, mut row: Row) -> StoreResult<Vec<Value>> {
        let value = |(name, kind): &(&str, Kind)| {
            Ok(match kind {
                Kind::Int => Value::Int(row.int(name)?),
                Kind::Text => Value::Text(row.text(name)?),
                Kind::Blob => Value::Blob(row.blob(name)?),
            })
        };
        self.columns.iter().map(value).collect()
    }

    /// Removes every row.
    pub(in crate::users) async fn empty(&self, change: &mut dyn Change) -> StoreResult<()> {
        change.run(built(format!("DELETE FROM {}", self.name)), vec![]).await.map(|_| ())
    }

    /// Moves PostgreSQL's own counting of ids behind those that were carried over, where the table has any.
    pub(in crate::users) fn sequence(&self) -> Option<String> {
        let counts = self.columns.first() == Some(&("id", Int));
        let name = self.name;
        counts.then(|| {
            format!(
                "SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM {name}), false)"
            )
        })
    }
}

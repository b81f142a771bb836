//! Where the next pass over a directory can go on, and when it cannot. Pure.
//!
//! A mark is remembered with each pass, in the same transaction as its changes. It is worth something only for the
//! very server that gave it, in the very life of its database (invocationId, MS-ADTS section 3.1.1.1.9): another
//! server, a restored backup, other items or a cookie that cannot be read make the next pass a full one.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::config::import::{Import, Incremental};

/// How far the clocks of a directory and of this machine may be apart where changes are found by their time.
const CLOCKS: Duration = Duration::from_secs(600);

/// Where the changes of a directory go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Position {
    /// Active Directory's own cookie.
    DirSync {
        /// In base64.
        cookie: String,
        /// Whether it was got with the right of an ordinary account: deletions are not in it.
        object_security: bool,
    },
    /// The first number that is new (uSNChanged).
    Usn {
        /// The number.
        next: u64,
    },
    /// Entries changed since then, as an attribute writes it.
    Since {
        /// Which attribute: entryCSN or modifyTimestamp.
        attribute: String,
        /// The value, a generalizedTime (RFC 4517 section 3.3.13) or a CSN that starts with one.
        value: String,
        /// Units and groups that changed since then, but before the last pass looked: it has taken them into account.
        /// Each is a digest of its name and of the time of its change.
        #[serde(default)]
        settled: Vec<String>,
    },
}

/// What is remembered of one directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The server, as `host:port`.
    pub server: String,
    /// Which life of which database it is, where the directory says so.
    pub invocation: Option<String>,
    /// Where to go on; `None`: it has no way to tell.
    pub position: Option<Position>,
    /// A digest of everything that decides who is read and how.
    pub settings: String,
    /// When the last full pass began, in seconds since 1970.
    pub full: u64,
    /// A digest of the groups within groups that were read, see [`crate::import::changes::groups`].
    #[serde(default)]
    pub groups: Option<String>,
}

/// What a pass is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// Everybody is read, for this reason.
    Full(Why),
    /// Only what has changed since.
    Changes(Position),
}

/// Why everybody is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was asked for.
    Asked,
    /// Nothing is remembered of this directory.
    First,
    /// `incremental = "never"`, or the directory has no way to tell changes.
    NoWay,
    /// The items or their settings are others.
    OtherItems,
    /// Another server answers.
    OtherServer,
    /// The server's database is another: a restored backup.
    OtherDatabase,
    /// The server's counter is behind what it was.
    WentBack,
    /// `full_every` is over.
    Due,
    /// The directory did not take the cookie.
    Refused,
    /// A unit or a group has changed, or too much else.
    Structure,
}

impl Why {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Why::Asked => "a full pass was asked for",
            Why::First => "this is the first pass over this directory",
            Why::NoWay => "the directory is always read in full",
            Why::OtherItems => "the items or their settings have changed",
            Why::OtherServer => "another server answered than the last time",
            Why::OtherDatabase => "the server's database is another one (restored from a backup?)",
            Why::WentBack => "the server's change counter is behind what it was",
            Why::Due => "a full pass was due (full_every)",
            Why::Refused => "the directory did not take the mark of the last pass",
            Why::Structure => "a unit, a group or very many people have changed",
        }
    }
}

/// What a server says of itself before a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// As `host:port`.
    pub server: String,
    /// Which life of which database.
    pub invocation: Option<String>,
    /// Its highest committed change number.
    pub usn: Option<u64>,
    /// Whether it says that it knows the DirSync control.
    pub dirsync: bool,
    /// The attribute that tells when an entry changed, elsewhere.
    pub time_attribute: Option<String>,
}

impl Mark {
    /// Reads what was remembered; what cannot be read is as good as nothing.
    pub fn read(octets: &[u8]) -> Option<Mark> {
        serde_json::from_slice(octets).ok()
    }

    /// As it is remembered.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Position {
    /// The octets of a DirSync cookie; an unreadable one is none.
    pub fn cookie(&self) -> Option<Vec<u8>> {
        match self {
            Position::DirSync { cookie, .. } => STANDARD.decode(cookie).ok().filter(|cookie| !cookie.is_empty()),
            _ => None,
        }
    }

    /// A DirSync cookie to be remembered.
    pub fn dirsync(cookie: &[u8], object_security: bool) -> Self {
        Position::DirSync { cookie: STANDARD.encode(cookie), object_security }
    }
}

/// Decides what the next pass over a directory is.
pub fn next_pass(
    import: &Import,
    remembered: Option<&Mark>,
    facts: &ServerFacts,
    settings: &str,
    asked_full: bool,
    now: SystemTime,
) -> Pass {
    if asked_full {
        return Pass::Full(Why::Asked);
    }
    let Some(mark) = remembered else { return Pass::Full(Why::First) };
    if import.incremental == Incremental::Never {
        return Pass::Full(Why::NoWay);
    }
    let Some(position) = &mark.position else { return Pass::Full(Why::NoWay) };
    if mark.settings != settings {
        return Pass::Full(Why::OtherItems);
    }
    if mark.server != facts.server {
        return Pass::Full(Why::OtherServer);
    }
    if mark.invocation != facts.invocation {
        return Pass::Full(Why::OtherDatabase);
    }
    match position {
        Position::DirSync { .. } if position.cookie().is_none() => return Pass::Full(Why::Refused),
        Position::DirSync { .. } if import.incremental == Incremental::Changes => return Pass::Full(Why::NoWay),
        Position::Usn { next } if facts.usn.is_none_or(|usn| usn + 1 < *next) => return Pass::Full(Why::WentBack),
        _ => {}
    }
    // A clock that went back makes the last full pass one of the future: that is due, too.
    let age = seconds(now).checked_sub(mark.full);
    if age.is_none_or(|age| age >= import.full_every.as_secs()) {
        return Pass::Full(Why::Due);
    }
    Pass::Changes(position.clone())
}

/// Where changes go on after a full pass that begins now.
pub fn fresh_position(import: &Import, facts: &ServerFacts, now: SystemTime) -> Option<Position> {
    match import.incremental {
        Incremental::Never | Incremental::DirSync => return None,
        Incremental::Auto | Incremental::Changes => {}
    }
    if let Some(usn) = facts.usn {
        return Some(Position::Usn { next: usn + 1 });
    }
    let attribute = facts.time_attribute.clone()?;
    let value = since(now.checked_sub(CLOCKS)?, &attribute)?;
    Some(Position::Since { attribute, value, settled: Vec::new() })
}

/// A time as the attribute writes it.
fn since(time: SystemTime, attribute: &str) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    Some(if attribute.eq_ignore_ascii_case("entryCSN") {
        time.strftime("%Y%m%d%H%M%S.000000Z#000000#000#000000").to_string()
    } else {
        time.strftime("%Y%m%d%H%M%SZ").to_string()
    })
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::import;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn mark() -> Mark {
        Mark {
            server: "dc1:636".into(),
            invocation: Some("one".into()),
            position: Some(Position::Usn { next: 100 }),
            settings: "s".into(),
            full: 1000,
            groups: None,
        }
    }

    fn facts() -> ServerFacts {
        ServerFacts {
            server: "dc1:636".into(),
            invocation: Some("one".into()),
            usn: Some(120),
            dirsync: true,
            time_attribute: None,
        }
    }

    fn pass(mark: Option<&Mark>, facts: &ServerFacts) -> Pass {
        next_pass(&import(Vec::new()), mark, facts, "s", false, at(2000))
    }

    #[test]
    fn changes_are_read_only_where_everything_is_as_it_was() {
        assert_eq!(pass(Some(&mark()), &facts()), Pass::Changes(Position::Usn { next: 100 }));
        assert_eq!(pass(None, &facts()), Pass::Full(Why::First));
        let spoiled = |change: fn(&mut Mark)| {
            let mut mark = mark();
            change(&mut mark);
            pass(Some(&mark), &facts())
        };
        assert_eq!(spoiled(|mark| mark.server = "dc2:636".into()), Pass::Full(Why::OtherServer));
        assert_eq!(spoiled(|mark| mark.invocation = Some("two".into())), Pass::Full(Why::OtherDatabase));
        assert_eq!(spoiled(|mark| mark.settings = "t".into()), Pass::Full(Why::OtherItems));
        assert_eq!(spoiled(|mark| mark.position = None), Pass::Full(Why::NoWay));
        assert_eq!(spoiled(|mark| mark.position = Some(Position::Usn { next: 200 })), Pass::Full(Why::WentBack));
        assert_eq!(spoiled(|mark| mark.position = Some(Position::dirsync(b"", false))), Pass::Full(Why::Refused));
        let now = at(1000 + 86_400);
        assert_eq!(next_pass(&import(Vec::new()), Some(&mark()), &facts(), "s", false, now), Pass::Full(Why::Due));
        assert_eq!(next_pass(&import(Vec::new()), Some(&mark()), &facts(), "s", false, at(1)), Pass::Full(Why::Due));
        assert_eq!(next_pass(&import(Vec::new()), Some(&mark()), &facts(), "s", true, at(1)), Pass::Full(Why::Asked));
        let mut never = import(Vec::new());
        never.incremental = Incremental::Never;
        assert_eq!(next_pass(&never, Some(&mark()), &facts(), "s", false, at(2000)), Pass::Full(Why::NoWay));
    }

    #[test]
    fn a_mark_survives_being_remembered_and_rubbish_is_none() {
        let mut mark = mark();
        for position in [
            Some(Position::dirsync(&[0, 255, 7], true)),
            Some(Position::Since { attribute: "entryCSN".into(), value: "2026".into(), settled: vec!["0f".into()] }),
            None,
        ] {
            mark.position = position;
            assert_eq!(Mark::read(&mark.write()), Some(mark.clone()));
        }
        assert_eq!(Position::dirsync(&[0, 255, 7], true).cookie(), Some(vec![0, 255, 7]));
        let older = r#"{"kind":"since","attribute":"entryCSN","value":"2026"}"#;
        let older: Position = serde_json::from_str(older).unwrap();
        assert!(matches!(older, Position::Since { settled, .. } if settled.is_empty()));
        assert_eq!(Mark::read(b"{}"), None);
        assert_eq!(Mark::read(b"\xff"), None);
    }

    #[test]
    fn a_fresh_position_is_the_counter_or_a_time_some_minutes_ago() {
        let import = import(Vec::new());
        assert_eq!(fresh_position(&import, &facts(), at(0)), Some(Position::Usn { next: 121 }));
        let elsewhere = |attribute: &str| ServerFacts { usn: None, time_attribute: Some(attribute.into()), ..facts() };
        let value = |attribute| match fresh_position(&import, &elsewhere(attribute), at(1_767_225_600)) {
            Some(Position::Since { value, .. }) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(value("entryCSN"), "20251231235000.000000Z#000000#000#000000");
        assert_eq!(value("modifyTimestamp"), "20251231235000Z");
        assert_eq!(fresh_position(&import, &ServerFacts::default(), at(0)), None);
    }
}

//! People as text and as JSON. Device tokens are masked, control characters are escaped: a name from a
//! directory must not move the cursor of a terminal.

use std::io::{Result, Write};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::user::fields::state;
use crate::users::changes::{Difference, shown_fields, time_text};
use crate::users::codes::{CodeKind, KeptCode};
use crate::users::details::{Device, Pin};
use crate::users::model::masked;
use crate::users::phone::country_code;
use crate::users::profile::{Field, Profile, Stamp};
use crate::users::token::{Moving, Token};

/// A text with its control characters escaped.
pub(in crate::cli) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The fields of a change, one a line.
pub(super) fn changes(differences: &[Difference], out: &mut (impl Write + ?Sized)) -> Result<()> {
    let text = |value: Option<&str>| value.map_or_else(|| "(none)".into(), plain);
    for change in differences {
        writeln!(out, "  {}: {} -> {}", change.field(), text(change.before()), text(change.after()))?;
    }
    Ok(())
}

/// One person in full.
pub(super) fn one(whole: &Whole, json: bool, out: &mut (impl Write + ?Sized)) -> Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &whole.shown())?;
        return writeln!(out);
    }
    let mut line = |field: &str, value: Option<&str>| {
        writeln!(out, "{:<14} {}", format!("{field}:"), value.map_or_else(|| "-".into(), plain))
    };
    for (field, value) in shown_fields(&whole.profile) {
        line(field, value.as_deref())?;
    }
    let stamp = |stamp: &Stamp| {
        (stamp.time > SystemTime::UNIX_EPOCH).then(|| format!("{} by {}", time_text(stamp.time), stamp.by))
    };
    line("created", stamp(&whole.profile.created).as_deref())?;
    line("changed", stamp(&whole.profile.changed).as_deref())?;
    line("last sign-in", whole.last_sign_in.map(time_text).as_deref())?;
    for device in &whole.devices {
        line("device", Some(&format!("{} ({}) {}", device.name, device.kind, masked(&device.token))))?;
    }
    for token in &whole.tokens {
        line("token", Some(&token_text(token)))?;
    }
    for (kind, text) in codes_text(&whole.codes, SystemTime::now()) {
        line(kind, Some(&text))?;
    }
    line("PIN", whole.pin.as_ref().map(|pin| pin_text(pin, SystemTime::now())).as_deref())
}

/// What may be told of a token.
pub(in crate::cli) fn token_text(token: &Token) -> String {
    let moving = match token.moving {
        Moving::Time { period } => format!("every {period} s"),
        Moving::Counter { next } => format!("counter {next}"),
    };
    let label = token.label.as_deref().map(|label| format!(" {label:?}")).unwrap_or_default();
    let used = token.last_used.map(|used| format!(", last used {}", time_text(used))).unwrap_or_default();
    format!("{}{label} ({}, {} digits, {moving}{used})", token.serial, token.algorithm, token.digits)
}

/// What may be told of backup and temporary codes, where there are any.
fn codes_text(codes: &[KeptCode], now: SystemTime) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    let good = |kind| codes.iter().filter(move |code| code.kind == kind && code.is_good(now));
    let backup = good(CodeKind::Backup).count();
    if backup > 0 {
        told.push(("backup codes", format!("{backup} left")));
    }
    for code in good(CodeKind::Temporary) {
        let until = code.expires.map(|until| format!(" until {}", time_text(until))).unwrap_or_default();
        let reason = code.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        told.push(("temporary code", format!("good for {} more{until}, by {}{reason}", code.uses, code.added_by)));
    }
    told
}

fn pin_text(pin: &Pin, now: SystemTime) -> String {
    match pin.expires {
        _ if pin.must_change(now) => "must be changed".into(),
        Some(expires) => format!("good until {}", time_text(expires)),
        None => "set".into(),
    }
}

/// Everything that is known of one person, as far as it may be shown.
pub(super) struct Whole {
    pub(super) profile: Profile,
    pub(super) devices: Vec<Device>,
    pub(super) tokens: Vec<Token>,
    pub(super) codes: Vec<KeptCode>,
    pub(super) pin: Option<Pin>,
    pub(super) last_sign_in: Option<SystemTime>,
}

impl Whole {
    /// As JSON.
    pub(super) fn shown(&self) -> ShownWhole<'_> {
        ShownWhole {
            person: Shown::of(&self.profile),
            last_sign_in: self.last_sign_in.map(time_text),
            devices: self
                .devices
                .iter()
                .map(|device| ShownDevice { name: &device.name, kind: &device.kind, token: masked(&device.token) })
                .collect(),
            tokens: self.tokens.iter().map(token_text).collect(),
            codes: codes_text(&self.codes, SystemTime::now())
                .into_iter()
                .map(|(kind, text)| format!("{kind}: {text}"))
                .collect(),
            pin: self.pin.as_ref().map(|pin| pin_text(pin, SystemTime::now())),
        }
    }
}

/// [`Whole`] as JSON.
#[derive(Serialize)]
pub(super) struct ShownWhole<'a> {
    #[serde(flatten)]
    person: Shown<'a>,
    last_sign_in: Option<String>,
    devices: Vec<ShownDevice<'a>>,
    tokens: Vec<String>,
    codes: Vec<String>,
    pin: Option<String>,
}

#[derive(Serialize)]
struct ShownDevice<'a> {
    name: &'a str,
    kind: &'a str,
    /// Its last four characters.
    token: String,
}

/// A list of people that comes page by page.
pub(super) struct Table {
    json: bool,
    /// Widths of all columns but the last, from the first page: later rows that are wider stick out.
    widths: Option<[usize; COLUMNS]>,
    people: usize,
    now: SystemTime,
}

const COLUMNS: usize = 6;
const HEAD: [&str; COLUMNS] = ["NAME", "METHOD", "STATE", "PHONE", "DEVICE", "UNIQUE ID"];

impl Table {
    pub(super) fn new(json: bool) -> Self {
        Table { json, widths: None, people: 0, now: SystemTime::now() }
    }

    fn row(&self, profile: &Profile) -> [String; COLUMNS] {
        let person = &profile.person;
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let phone = match (&person.phone, &person.phone_extension) {
            (Some(phone), Some(extension)) => Some(format!("{} ext {}", plain(phone), plain(extension))),
            (phone, _) => phone.as_deref().map(plain),
        };
        [
            plain(&person.name),
            person.method.to_string(),
            state(person, self.now),
            or_dash(phone),
            or_dash(person.device_token.as_deref().map(|token| plain(&masked(token)))),
            plain(&person.unique_id),
        ]
    }

    /// Writes one page.
    pub(super) fn page(&mut self, people: &[Profile], out: &mut (impl Write + ?Sized)) -> Result<()> {
        if self.json {
            for person in people {
                out.write_all(if self.people == 0 { b"[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, &Shown::of(person))?;
                self.people += 1;
            }
            return Ok(());
        }
        let rows: Vec<_> = people.iter().map(|person| self.row(person)).collect();
        let widths = match self.widths {
            Some(widths) => widths,
            None => {
                let mut widths = HEAD.map(str::len);
                for row in &rows {
                    for (width, cell) in widths.iter_mut().zip(row) {
                        *width = (*width).max(cell.chars().count());
                    }
                }
                self.widths = Some(widths);
                line(&HEAD.map(str::to_owned), &widths, out)?;
                widths
            }
        };
        self.people += rows.len();
        rows.iter().try_for_each(|row| line(row, &widths, out))
    }

    /// Writes the end.
    pub(super) fn end(&self, out: &mut (impl Write + ?Sized)) -> Result<()> {
        match (self.json, self.people) {
            (true, 0) => writeln!(out, "[]"),
            (true, _) => writeln!(out, "\n]"),
            (false, 1) => writeln!(out, "1 person"),
            (false, people) => writeln!(out, "{people} people"),
        }
    }
}

fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS], out: &mut (impl Write + ?Sized)) -> Result<()> {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(&format!("{cell:<width$}  "));
    }
    writeln!(out, "{}", text.trim_end())
}

/// A person as JSON and CSV, in this order.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    unique_id: &'a str,
    name: &'a str,
    upn: Option<&'a str>,
    aliases: &'a [String],
    dn: Option<&'a str>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    email: Option<&'a str>,
    group: Option<&'a str>,
    description: Option<&'a str>,
    country_code: Option<u16>,
    phone: Option<&'a str>,
    phone_extension: Option<&'a str>,
    backup_country_code: Option<u16>,
    backup_phone: Option<&'a str>,
    backup_extension: Option<&'a str>,
    /// Its last four characters.
    device_token: Option<String>,
    method: &'a str,
    mode: &'a str,
    language: &'a str,
    enabled: bool,
    blocked_until: Option<String>,
    quarantined: Option<String>,
    item: Option<&'a str>,
    local: Vec<&'a str>,
    created: String,
    created_by: &'a str,
    changed: String,
    changed_by: &'a str,
}

impl<'a> Shown<'a> {
    pub(super) fn of(profile: &'a Profile) -> Self {
        let person = &profile.person;
        let exact = |time: SystemTime| Timestamp::try_from(time).ok().map(|time| time.to_string());
        Shown {
            unique_id: &person.unique_id,
            name: &person.name,
            upn: person.upn.as_deref(),
            aliases: &profile.aliases,
            dn: person.dn.as_deref(),
            first_name: person.first_name.as_deref(),
            last_name: person.last_name.as_deref(),
            email: person.email.as_deref(),
            group: profile.group.as_deref(),
            description: profile.description.as_deref(),
            country_code: person.phone.as_deref().and_then(country_code),
            phone: person.phone.as_deref(),
            phone_extension: person.phone_extension.as_deref(),
            backup_country_code: profile.backup_phone.as_deref().and_then(country_code),
            backup_phone: profile.backup_phone.as_deref(),
            backup_extension: profile.backup_extension.as_deref(),
            device_token: person.device_token.as_deref().map(masked),
            method: person.method.word(),
            mode: profile.person.mode.word(),
            language: &person.language,
            enabled: person.enabled,
            blocked_until: person.blocked_until.and_then(exact),
            quarantined: profile.quarantined.and_then(exact),
            item: profile.item.as_deref(),
            local: profile.local.iter().map(Field::word).collect(),
            created: time_text(profile.created.time),
            created_by: &profile.created.by,
            changed: time_text(profile.changed.time),
            changed_by: &profile.changed.by,
        }
    }

    /// The head of a CSV file.
    pub(super) const COLUMNS: [&'static str; 29] = [
        "unique_id",
        "name",
        "upn",
        "aliases",
        "dn",
        "first_name",
        "last_name",
        "email",
        "group",
        "description",
        "country_code",
        "phone",
        "phone_extension",
        "backup_country_code",
        "backup_phone",
        "backup_extension",
        "device_token",
        "method",
        "mode",
        "language",
        "enabled",
        "blocked_until",
        "quarantined",
        "item",
        "local",
        "created",
        "created_by",
        "changed",
        "changed_by",
    ];
}

//! People as text and as JSON. Device tokens are masked, control characters are escaped: a name from a
//! directory must not move the cursor of a terminal.

use std::io::{Result, Write};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::user::FOREVER;
use crate::cli::user::fields::{Difference, shown_fields, state};
use crate::users::model::{Person, masked};

/// A text with its control characters escaped.
pub(super) fn plain(text: &str) -> String {
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

/// A time as RFC 3339 in UTC, to the second.
pub(super) fn time_text(time: SystemTime) -> String {
    if SystemTime::UNIX_EPOCH.checked_add(FOREVER).is_some_and(|forever| time >= forever) {
        return "further notice".into();
    }
    Timestamp::try_from(time).map_or_else(|_| "an impossible time".into(), |time| format!("{time:.0}"))
}

/// The fields of a change, one a line.
pub(super) fn changes(differences: &[Difference], out: &mut (impl Write + ?Sized)) -> Result<()> {
    let text = |value: &Option<String>| value.as_deref().map_or_else(|| "(none)".into(), plain);
    for (field, before, after) in differences {
        writeln!(out, "  {field}: {} -> {}", text(before), text(after))?;
    }
    Ok(())
}

/// One person in full.
pub(super) fn one(person: &Person, json: bool, out: &mut (impl Write + ?Sized)) -> Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &Shown::of(person))?;
        return writeln!(out);
    }
    for (field, value) in shown_fields(person) {
        writeln!(out, "{:<14} {}", format!("{field}:"), value.as_deref().map_or_else(|| "-".into(), plain))?;
    }
    Ok(())
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

    fn row(&self, person: &Person) -> [String; COLUMNS] {
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
    pub(super) fn page(&mut self, people: &[Person], out: &mut (impl Write + ?Sized)) -> Result<()> {
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

/// A person as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    unique_id: &'a str,
    name: &'a str,
    upn: Option<&'a str>,
    dn: Option<&'a str>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    email: Option<&'a str>,
    phone: Option<&'a str>,
    phone_extension: Option<&'a str>,
    /// Its last four characters.
    device_token: Option<String>,
    method: &'a str,
    language: &'a str,
    enabled: bool,
    blocked_until: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(person: &'a Person) -> Self {
        Shown {
            unique_id: &person.unique_id,
            name: &person.name,
            upn: person.upn.as_deref(),
            dn: person.dn.as_deref(),
            first_name: person.first_name.as_deref(),
            last_name: person.last_name.as_deref(),
            email: person.email.as_deref(),
            phone: person.phone.as_deref(),
            phone_extension: person.phone_extension.as_deref(),
            device_token: person.device_token.as_deref().map(masked),
            method: person.method.word(),
            language: &person.language,
            enabled: person.enabled,
            blocked_until: person
                .blocked_until
                .and_then(|until| Timestamp::try_from(until).ok())
                .map(|t| t.to_string()),
        }
    }
}

//! An audit event as one line of JSON. A line without `kind` is a sign-in, with every field, in this order:
//!
//! | field | value |
//! | --- | --- |
//! | `time` | when the sign-in ended, RFC 3339 in UTC to the microsecond |
//! | `sign_in` | its identifier, 24 hexadecimal digits, as in the log and at the provider |
//! | `door` | `radius` or `ldap` |
//! | `client`, `application` | through which client, for which application |
//! | `name` | as typed |
//! | `unique_id`, `account` | who it is in the directory, or `null` if that was not found out |
//! | `source`, `person_address` | addresses of the client and of the person's device, the latter or `null` |
//! | `method`, `provider` | how and by whom they were asked, or `null` |
//! | `primary` | `passed`, a reason code, or `null` if the password was not tried |
//! | `factor` | `approved`, `approved_with_pin` (the PIN of somebody in PIN mode went with it), `approved_fallback` (a code, after the phone had not answered), `carried_over`, `remembered`, `cached_person`, `cached_application`, `cached_address`, a reason code, `used_code` or `old_code` (of a `wrong_code`: it was the last one used, or older), or `null` if nobody was asked |
//! | `verdict`, `reason` | `accept`, `reject` or `discard`, and the reason code |
//! | `rule` | the `[[rule]]` that counted, the `[[caching]]` rule where an earlier approval did, or `null` |
//! | `earlier` | the earlier sign-in whose approval counted, where a `[[caching]]` rule kept it, or `null` |
//! | `requests` | how many requests of the client this one answer served |
//! | `identify_ms`, `primary_ms`, `policy_ms`, `factor_ms` | milliseconds with decimals, or `null` if not reached |
//! | `total_ms` | from the request's arrival to the end |
//! | `server` | which server |
//!
//! A line with the kind `accounting` is what a client reported about a session (RFC 2866), as it reported it:
//!
//! | field | value |
//! | --- | --- |
//! | `time` | when the report was received |
//! | `kind` | `accounting` |
//! | `client`, `source` | which client, from which address |
//! | `status` | `start`, `stop`, `interim_update`, `accounting_on`, `accounting_off`, `other`, or `none` |
//! | `session` | the client's name for the session |
//! | `name` | the person's name, as typed |
//! | `octets_in`, `octets_out` | octets from and to the person, or `null` if not reported |
//! | `session_seconds` | how long the session has lasted, or `null` |
//!
//! A line with the kind `late_fraud` is a fraud report that came after its sign-in had ended, by those providers that tell
//! of themselves; one with `outage_begin` or `outage_end` is what an operator declared (`anteroom
//! outage`), one with `approvals_cleared` what an operator had forgotten (`anteroom approvals clear`); one with
//! `password_changed` is a password that a person changed while signing in, whatever became of the sign-in:
//!
//! | field | value |
//! | --- | --- |
//! | `time` | when it happened |
//! | `kind` | `late_fraud`, `outage_begin`, `outage_end`, `approvals_cleared`, `password_changed` or `accounting_full` |
//! | `providers` | of which providers |
//! | `sign_in` | of a late fraud report and of a changed password: which sign-in it is about; whoever it was is in that one's line |
//! | `seconds`, `reason`, `by` | of an outage: for how long, why, and the user id of whoever declared it; of approvals: how many of whom, and by whom |
//! | `server` | which server |
//!
//! Control characters are escaped as JSON asks, so that a name can never begin a line.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::audit::{Accounted, Event, Note};
use crate::signin::attempt::SignInId;
use crate::telemetry::utc::{Utc, digit};

/// Appends `event` and a newline to `out`. Written field by field: there is one of these for every sign-in.
pub fn append(out: &mut Vec<u8>, event: &Event) {
    let steps = event.steps;
    out.reserve(ROOM);
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(Utc::new(event.time).as_str().as_bytes());
    out.extend_from_slice(b"\",\"sign_in\":\"");
    out.extend_from_slice(&event.sign_in.digits());
    out.push(b'"');
    put(out, b",\"door\":", Some(event.door.word()), text);
    put(out, b",\"client\":", Some(&event.client), text);
    put(out, b",\"application\":", Some(&event.application), text);
    put(out, b",\"name\":", Some(&event.name), text);
    put(out, b",\"unique_id\":", event.unique_id.as_deref(), text);
    put(out, b",\"account\":", event.account.as_deref(), text);
    put(out, b",\"source\":", Some(event.source), address);
    put(out, b",\"person_address\":", event.person_address, address);
    put(out, b",\"method\":", event.method.map(|method| method.word()), text);
    put(out, b",\"provider\":", event.provider.as_deref(), text);
    put(out, b",\"primary\":", event.primary, text);
    put(out, b",\"factor\":", event.factor, text);
    put(out, b",\"verdict\":", Some(event.verdict.word()), text);
    put(out, b",\"reason\":", Some(event.reason.code()), text);
    put(out, b",\"rule\":", event.rule.as_deref(), text);
    put(out, b",\"earlier\":", event.earlier.as_deref(), text);
    put(out, b",\"requests\":", Some(u64::from(event.requests)), number);
    put(out, b",\"identify_ms\":", steps.identify, milliseconds);
    put(out, b",\"primary_ms\":", steps.primary, milliseconds);
    put(out, b",\"policy_ms\":", steps.policy, milliseconds);
    put(out, b",\"factor_ms\":", steps.factor, milliseconds);
    put(out, b",\"total_ms\":", Some(steps.total), milliseconds);
    put(out, b",\"server\":", Some(&event.server), text);
    out.extend_from_slice(b"}\n");
}

/// Octets of most events' lines.
const ROOM: usize = 1_024;

/// A key and its value.
fn put<T>(out: &mut Vec<u8>, key: &[u8], value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    out.extend_from_slice(key);
    match value {
        Some(value) => write(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn text(out: &mut Vec<u8>, text: impl AsRef<str>) {
    let text = text.as_ref();
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else if serde_json::to_writer(&mut *out, text).is_err() {
        // Writing a text to memory cannot fail; if it did, the line must be one of JSON all the same.
        out.extend_from_slice(b"null");
    }
}

/// Whether an octet stands for itself in a text of JSON (RFC 8259 section 7).
fn is_plain(octet: u8) -> bool {
    octet >= 0x20 && octet != b'"' && octet != b'\\'
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    out.push(b'"');
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                number(out, u64::from(octet));
            }
        }
        // Writing to memory cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut count) = (number, 0);
    for place in digits.iter_mut().rev() {
        *place = digit(rest);
        (rest, count) = (rest / 10, count + 1);
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - count..).unwrap_or_default());
}

/// Milliseconds to the nearest microsecond, with at least one decimal and no zeros behind that.
fn milliseconds(out: &mut Vec<u8>, duration: Duration) {
    let micros = duration.saturating_add(Duration::from_nanos(500)).as_micros();
    let micros = u64::try_from(micros).unwrap_or(u64::MAX);
    number(out, micros / 1_000);
    let decimals = micros % 1_000;
    out.extend([b'.', digit(decimals / 100)]);
    if decimals % 100 != 0 {
        out.push(digit(decimals / 10));
    }
    if decimals % 10 != 0 {
        out.push(digit(decimals));
    }
}

/// Appends an accounting record and a newline to `out`.
pub fn append_accounted(out: &mut Vec<u8>, accounted: &Accounted) {
    let record = &accounted.record;
    write(
        out,
        &AccountingLine {
            time: Shown(Utc::new(accounted.time)),
            kind: "accounting",
            client: &record.client,
            source: record.source,
            status: record.status_word(),
            session: &record.session,
            name: &record.name,
            octets_in: record.octets_in,
            octets_out: record.octets_out,
            session_seconds: record.session_time.map(|time| time.as_secs()),
        },
    );
}

/// Appends a note and a newline to `out`.
pub fn append_note(out: &mut Vec<u8>, note: &Note) {
    write(
        out,
        &NoteLine {
            time: Shown(Utc::new(note.time)),
            kind: note.kind,
            providers: &note.providers,
            sign_in: note.sign_in.map(Shown),
            seconds: note.seconds,
            reason: note.reason.as_deref(),
            by: note.by,
            server: &note.server,
        },
    );
}

fn write(out: &mut Vec<u8>, line: &impl Serialize) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, line).is_err() {
        // Nothing in a line can fail to be written to memory; if it did, no half line must stay.
        out.truncate(start);
        return;
    }
    out.push(b'\n');
}

#[derive(Serialize)]
struct AccountingLine<'a> {
    time: Shown<Utc>,
    kind: &'a str,
    client: &'a str,
    source: std::net::IpAddr,
    status: &'a str,
    session: &'a str,
    name: &'a str,
    octets_in: Option<u64>,
    octets_out: Option<u64>,
    session_seconds: Option<u64>,
}

#[derive(Serialize)]
struct NoteLine<'a> {
    time: Shown<Utc>,
    kind: &'a str,
    providers: &'a [String],
    sign_in: Option<Shown<SignInId>>,
    seconds: Option<u64>,
    reason: Option<&'a str>,
    by: Option<u32>,
    server: &'a str,
}

/// Something written as JSON text by its `Display`.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests;

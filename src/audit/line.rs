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

use std::fmt::Display;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::audit::{Accounted, Event, Note, milliseconds};

/// Appends `event` and a newline to `out`.
pub fn append(out: &mut Vec<u8>, event: &Event) {
    write(out, &Line::of(event));
}

/// Appends an accounting record and a newline to `out`.
pub fn append_accounted(out: &mut Vec<u8>, accounted: &Accounted) {
    let record = &accounted.record;
    write(
        out,
        &AccountingLine {
            time: shown(accounted.time),
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
            time: shown(note.time),
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
struct Line<'a> {
    time: Shown<Timestamp>,
    sign_in: Shown<crate::signin::attempt::SignInId>,
    door: &'a str,
    client: &'a str,
    application: &'a str,
    name: &'a str,
    unique_id: Option<&'a str>,
    account: Option<&'a str>,
    source: std::net::IpAddr,
    person_address: Option<std::net::IpAddr>,
    method: Option<&'a str>,
    provider: Option<&'a str>,
    primary: Option<&'a str>,
    factor: Option<&'a str>,
    verdict: &'a str,
    reason: &'a str,
    rule: Option<&'a str>,
    earlier: Option<&'a str>,
    requests: u32,
    identify_ms: Option<f64>,
    primary_ms: Option<f64>,
    policy_ms: Option<f64>,
    factor_ms: Option<f64>,
    total_ms: f64,
    server: &'a str,
}

#[derive(Serialize)]
struct AccountingLine<'a> {
    time: Shown<Timestamp>,
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
    time: Shown<Timestamp>,
    kind: &'a str,
    providers: &'a [String],
    sign_in: Option<Shown<crate::signin::attempt::SignInId>>,
    seconds: Option<u64>,
    reason: Option<&'a str>,
    by: Option<u32>,
    server: &'a str,
}

impl<'a> Line<'a> {
    fn of(event: &'a Event) -> Self {
        let steps = event.steps;
        Line {
            time: shown(event.time),
            sign_in: Shown(event.sign_in),
            door: event.door.word(),
            client: &event.client,
            application: &event.application,
            name: &event.name,
            unique_id: event.unique_id.as_deref(),
            account: event.account.as_deref(),
            source: event.source,
            person_address: event.person_address,
            method: event.method.map(|method| method.word()),
            provider: event.provider.as_deref(),
            primary: event.primary,
            factor: event.factor,
            verdict: event.verdict.word(),
            reason: event.reason.code(),
            rule: event.rule.as_deref(),
            earlier: event.earlier.as_deref(),
            requests: event.requests,
            identify_ms: steps.identify.map(milliseconds),
            primary_ms: steps.primary.map(milliseconds),
            policy_ms: steps.policy.map(milliseconds),
            factor_ms: steps.factor.map(milliseconds),
            total_ms: milliseconds(steps.total),
            server: &event.server,
        }
    }
}

fn shown(time: SystemTime) -> Shown<Timestamp> {
    // A time outside of jiff's years -9999 to 9999 is a broken clock; 1970 says so.
    Shown(Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Something written as JSON text by its `Display`, here with six decimals where it has any.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

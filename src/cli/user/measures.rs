//! Let a person in once, keep them out, and end that: each with its reason, which is recorded.

use std::io::Write;
use std::time::{Duration, SystemTime};

use super::{Place, Who, advised, find, say, show, unwritten};
use crate::users::changes::{FOREVER, differences, time_text};
use crate::users::measures::{Measure, MeasureKind, checked_reason};
use crate::users::profile::Profile;

/// Longest time for which a bypass may be open.
const LONGEST_BYPASS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Debug, clap::Args)]
pub(super) struct Bypass {
    #[command(flatten)]
    who: Who,
    /// Until when it must have been used, such as `300s`, `10m` or `8h`; up to a week.
    #[arg(long = "for", value_name = "DURATION", default_value = "300s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Why: it is recorded.
    #[arg(long, value_name = "TEXT", value_parser = checked_reason)]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Block {
    #[command(flatten)]
    who: Who,
    /// For how long, such as `30m`, `8h` or `90days`.
    #[arg(long = "for", value_name = "DURATION", default_value = "90days", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Until `unblock`.
    #[arg(long, conflicts_with = "duration")]
    forever: bool,
    /// Why: it is recorded.
    #[arg(long, value_name = "TEXT", value_parser = checked_reason)]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Unblock {
    #[command(flatten)]
    who: Who,
    /// Why: it is recorded.
    #[arg(long, value_name = "TEXT", default_value = "none given", value_parser = checked_reason)]
    reason: String,
}

/// `anteroom user bypass`.
pub(super) async fn bypass(bypass: Bypass, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    if bypass.duration.is_zero() || bypass.duration > LONGEST_BYPASS {
        return Err(format!("--for is up to {}", humantime::format_duration(LONGEST_BYPASS)));
    }
    let profile = find(place.store, &bypass.who).await?;
    let until = SystemTime::now().checked_add(bypass.duration);
    take(place, &profile, MeasureKind::Bypass, until, bypass.reason).await?;
    let name = show::plain(&profile.person.name);
    let until = until.map(time_text).unwrap_or_default();
    say(out, format_args!("{name} comes in once without a second factor, until {until}"))?;
    let person = &profile.person;
    if person.is_blocked(SystemTime::now()) || !person.enabled {
        let state = if person.enabled { "blocked" } else { "disabled" };
        say(out, format_args!("note: {name} is {state}, which a bypass does not change"))?;
    }
    Ok(())
}

/// `anteroom user block`.
pub(super) async fn block(block: Block, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let until = if block.forever {
        SystemTime::UNIX_EPOCH.checked_add(FOREVER)
    } else {
        SystemTime::now().checked_add(block.duration)
    };
    let until = until.ok_or("--for is too long; --forever blocks until `unblock`")?;
    let before = find(place.store, &block.who).await?;
    take(place, &before, MeasureKind::Block, Some(until), block.reason).await?;
    changed(&before, Some(until), out)
}

/// `anteroom user unblock`.
pub(super) async fn unblock(
    unblock: Unblock,
    place: &Place<'_>,
    out: &mut (impl Write + ?Sized),
) -> Result<(), String> {
    let before = find(place.store, &unblock.who).await?;
    if before.person.blocked_until.is_none() {
        return changed(&before, None, out);
    }
    take(place, &before, MeasureKind::Unblock, None, unblock.reason).await?;
    changed(&before, None, out)
}

async fn take(
    place: &Place<'_>,
    profile: &Profile,
    kind: MeasureKind,
    until: Option<SystemTime>,
    reason: String,
) -> Result<(), String> {
    let measure = Measure {
        time: SystemTime::now(),
        kind,
        unique_id: Some(profile.person.unique_id.clone()),
        name: profile.person.name.clone(),
        by: place.by.clone(),
        reason,
        until,
        sign_in: None,
        used: None,
    };
    if place.store.take_measure(&measure, false).await.map_err(|error| advised(&error))? {
        return Ok(());
    }
    Err(format!("{} was removed by somebody else just now; nothing was changed", show::plain(&profile.person.name)))
}

fn changed(before: &Profile, until: Option<SystemTime>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let mut after = before.clone();
    after.person.blocked_until = until;
    let changed = differences(Some(before), Some(&after));
    let verb = if changed.is_empty() { "nothing to change for" } else { "changed" };
    say(out, format_args!("{verb} {}", show::plain(&before.person.name)))?;
    show::changes(&changed, out).map_err(unwritten)
}

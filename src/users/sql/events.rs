//! Sign-ins read back, a page at a time.

use std::time::SystemTime;

use crate::users::events::{After, EventRecord, InARow, Wanted};
use crate::users::sql::driver::{Dialect, Driver};
use crate::users::sql::value::{Row, Value, built, list, unreadable};
use crate::users::store::{StoreResult, folded};

const COLUMNS: &str = "id, time, sign_in, door, client, application, name, unique_id, account, source, person_address, \
     method, provider, primary_result, factor_result, verdict, reason, rule, earlier, requests, identify_us, primary_us, \
     policy_us, factor_us, total_us, server";

/// The statement for what is wanted, and its values.
fn statement(dialect: Dialect, wanted: &Wanted, after: After, limit: u32) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::new();
    let mut terms: Vec<String> = Vec::new();
    let mut term = |text: &dyn Fn(usize) -> String, value: Value| {
        values.push(value);
        terms.push(text(values.len()));
    };
    let order = match after {
        After::Time(time, id) => {
            term(&|number| format!("time >= ${number}"), time.into());
            term(&|number| format!("(time > ${} OR id > ${number})", number - 1), id.into());
            "time, id"
        }
        After::Written(id) => {
            term(&|number| format!("id > ${number}"), id.into());
            "id"
        }
        After::Latest(id) => {
            term(&|number| format!("id < ${number}"), id.into());
            "id DESC"
        }
    };
    if let Some(since) = wanted.since {
        term(&|number| format!("time >= ${number}"), since.into());
    }
    if let Some(until) = wanted.until {
        term(&|number| format!("time < ${number}"), until.into());
    }
    let texts = [
        ("client", &wanted.client),
        ("verdict", &wanted.verdict),
        ("rule", &wanted.rule),
        ("sign_in", &wanted.sign_in),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            term(&|number| format!("{column} = ${number}"), text.as_str().into());
        }
    }
    if let Some(user) = &wanted.user {
        // SQLite's lower() knows ASCII only: names with other letters are found as they were written, too.
        let both = [user.clone(), folded(user)];
        let any = |number: usize| {
            let listed = dialect.listed(number);
            let column = |column| format!("{column} IN {listed}");
            ["unique_id", "account", "name", "lower(account)", "lower(name)"].map(column).join(" OR ")
        };
        term(&|number| format!("({})", any(number)), list(&both));
    }
    if !wanted.reasons.is_empty() {
        term(&|number| format!("reason IN {}", dialect.listed(number)), list(&wanted.reasons));
    }
    let terms = terms.join(" AND ");
    values.push(limit.into());
    let text = format!("SELECT {COLUMNS} FROM events WHERE {terms} ORDER BY {order} LIMIT ${}", values.len());
    (text, values)
}

/// A page of sign-ins.
pub(super) async fn page(
    driver: &dyn Driver,
    wanted: &Wanted,
    after: After,
    limit: u32,
) -> StoreResult<Vec<EventRecord>> {
    let (text, values) = statement(driver.dialect(), wanted, after, limit);
    driver.read(built(text), values).await?.iter_mut().map(read).collect()
}

/// The number of the one that was written last; 0: there is none.
pub(super) async fn last(driver: &dyn Driver) -> StoreResult<i64> {
    let mut rows = driver.read(built("SELECT coalesce(max(id), 0) FROM events"), vec![]).await?;
    rows.first_mut().ok_or_else(|| unreadable("id"))?.needed_int("id")
}

/// Whose a sign-in of the time since then was: unique id and account name.
pub(super) async fn whose(
    driver: &dyn Driver,
    sign_in: &str,
    since: SystemTime,
) -> StoreResult<Option<(String, String)>> {
    let wanted = Wanted { sign_in: Some(sign_in.to_owned()), ..Wanted::default() };
    let found = page(driver, &wanted, After::Time(since, 0), 1).await?.pop();
    Ok(found.and_then(|event| Some((event.unique_id?, event.account.unwrap_or(event.name)))))
}

/// Who ended with one of these reasons since then, and neither came in afterwards nor, where `password`, had the right
/// password: the latest first.
pub(super) async fn in_a_row(
    driver: &dyn Driver,
    reasons: &[&str],
    since: SystemTime,
    password: bool,
) -> StoreResult<Vec<InARow>> {
    let reasons: Vec<String> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
    let listed = driver.dialect().listed(2);
    let better = if password { "r.primary_result = 'passed' OR r.verdict = 'accept'" } else { "r.verdict = 'accept'" };
    let text = format!(
        "SELECT e.unique_id AS unique_id, CAST(count(*) AS BIGINT) AS many, max(e.time) AS last FROM events e \
         WHERE e.time >= $1 AND e.unique_id IS NOT NULL AND e.reason IN {listed} AND NOT EXISTS (SELECT 1 FROM events r \
         WHERE r.unique_id = e.unique_id AND r.time > e.time AND ({better})) \
         GROUP BY e.unique_id ORDER BY last DESC LIMIT 20000"
    );
    let rows = driver.read(built(text), vec![since.into(), list(&reasons)]).await?;
    let read = |mut row: Row| {
        Ok(InARow {
            unique_id: row.needed_text("unique_id")?,
            many: u32::try_from(row.needed_int("many")?).unwrap_or(u32::MAX),
            last: row.needed_time("last")?,
        })
    };
    rows.into_iter().map(read).collect()
}

fn read(row: &mut Row) -> StoreResult<EventRecord> {
    Ok(EventRecord {
        id: row.needed_int("id")?,
        time: row.needed_time("time")?,
        sign_in: row.needed_text("sign_in")?,
        door: row.needed_text("door")?,
        client: row.needed_text("client")?,
        application: row.needed_text("application")?,
        name: row.needed_text("name")?,
        unique_id: row.text("unique_id")?,
        account: row.text("account")?,
        source: row.needed_text("source")?,
        person_address: row.text("person_address")?,
        method: row.text("method")?,
        provider: row.text("provider")?,
        primary: row.text("primary_result")?,
        factor: row.text("factor_result")?,
        verdict: row.needed_text("verdict")?,
        reason: row.needed_text("reason")?,
        rule: row.text("rule")?,
        earlier: row.text("earlier")?,
        requests: row.needed_int("requests")?,
        identify_ms: milliseconds(row.int("identify_us")?),
        primary_ms: milliseconds(row.int("primary_us")?),
        policy_ms: milliseconds(row.int("policy_us")?),
        factor_ms: milliseconds(row.int("factor_us")?),
        total_ms: milliseconds(row.int("total_us")?).unwrap_or_default(),
        server: row.needed_text("server")?,
    })
}

fn milliseconds(micros: Option<i64>) -> Option<f64> {
    // Beyond 2^53 microseconds, some 285 years, the last digits would be lost.
    micros
        .and_then(|micros| i32::try_from(micros / 1000).ok().zip(i32::try_from(micros % 1000).ok()))
        .map(|(whole, rest)| f64::from(whole) + f64::from(rest) / 1000.0)
}

//! What the tests of both databases share: every statement there is.

use crate::users::sql::driver::{Dialect, Insertion};
use crate::users::sql::{
    approvals, details, importing, letters, measures, people, prompts, records, rounds, text, tries, typed,
};

/// The text of every statement, as `dialect` runs it.
pub(in crate::users) fn statements(dialect: Dialect) -> Vec<String> {
    let insertions: [&Insertion; 10] = [
        &people::PEOPLE,
        &people::NAMES,
        &records::EVENTS,
        &records::ACCOUNTING,
        &records::CHANGES,
        &details::DEVICES,
        &details::TOKENS,
        &letters::LETTERS,
        &measures::MEASURES,
        &typed::CODES,
    ];
    let mut all: Vec<String> = text::FIXED.iter().chain(&text::ERASE).map(ToString::to_string).collect();
    all.extend(importing::FIXED.map(str::to_owned));
    all.extend(letters::FIXED.map(str::to_owned));
    all.extend(measures::FIXED.map(str::to_owned));
    all.extend(typed::FIXED.map(str::to_owned));
    all.extend(rounds::FIXED.map(str::to_owned));
    all.extend(approvals::FIXED.map(str::to_owned));
    all.extend(tries::FIXED.map(str::to_owned));
    all.extend(prompts::FIXED.map(str::to_owned));
    all.extend(
        [
            records::ALL_CHANGES,
            records::CHANGES_OF,
            records::LAST_SIGN_IN,
            details::DEVICES_OF,
            details::USE_CODE,
            details::RESEAL,
            details::PIN,
            details::EARLIER_PINS,
        ]
        .map(str::to_owned),
    );
    all.extend([details::token_by_serial(), details::tokens_of(), details::tokens_after()]);
    all.extend(text::LISTING.map(|(start, number)| format!("{start}{}", dialect.listed(number))));
    for insertion in insertions {
        match dialect {
            Dialect::Sqlite => all.extend(insertion.lists().iter().map(ToString::to_string)),
            Dialect::Postgres => all.push(insertion.arrays().to_string()),
        }
    }
    all
}

/// The statement that a sign-in runs.
pub(in crate::users) const PERSON: &str = text::PERSON;

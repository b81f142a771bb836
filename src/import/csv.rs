//! People out of a CSV file: Anteroom's own columns, which `anteroom user export` writes, and those of the old
//! server's export, told apart by their names alone. Pure.

use crate::import::entry::{cleaned, language, tidy, usable};
use crate::import::files::{BadLine, Lines, column, separator, yes_or_no};
use crate::users::model::{Method, Person};
use crate::users::phone;
use crate::users::profile::{Field, Fields, Mode, Profile};

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    UniqueId,
    Name,
    Upn,
    Aliases,
    Dn,
    FirstName,
    LastName,
    Email,
    Group,
    Description,
    CountryCode,
    Phone,
    Extension,
    BackupCountryCode,
    BackupPhone,
    BackupExtension,
    Method,
    Mode,
    Language,
    Enabled,
}

/// Every spelling of a column, as [`column`] folds it.
const COLUMNS: &[(&str, Column)] = &[
    ("uniqueid", Column::UniqueId),
    ("uniqueidentifier", Column::UniqueId),
    ("objectguid", Column::UniqueId),
    ("entryuuid", Column::UniqueId),
    ("name", Column::Name),
    ("username", Column::Name),
    ("user", Column::Name),
    ("samaccountname", Column::Name),
    ("uid", Column::Name),
    ("upn", Column::Upn),
    ("userprincipalname", Column::Upn),
    ("aliases", Column::Aliases),
    ("alias", Column::Aliases),
    ("dn", Column::Dn),
    ("distinguishedname", Column::Dn),
    ("firstname", Column::FirstName),
    ("givenname", Column::FirstName),
    ("lastname", Column::LastName),
    ("surname", Column::LastName),
    ("sn", Column::LastName),
    ("email", Column::Email),
    ("emailaddress", Column::Email),
    ("mail", Column::Email),
    ("group", Column::Group),
    ("usergroup", Column::Group),
    ("description", Column::Description),
    ("countrycode", Column::CountryCode),
    ("phonecountrycode", Column::CountryCode),
    ("phone", Column::Phone),
    ("phonenumber", Column::Phone),
    ("mobile", Column::Phone),
    ("extension", Column::Extension),
    ("phoneextension", Column::Extension),
    ("ext", Column::Extension),
    ("backupcountrycode", Column::BackupCountryCode),
    ("backupphonecountrycode", Column::BackupCountryCode),
    ("backupphone", Column::BackupPhone),
    ("backupphonenumber", Column::BackupPhone),
    ("backupextension", Column::BackupExtension),
    ("backupphoneextension", Column::BackupExtension),
    ("backupext", Column::BackupExtension),
    ("method", Column::Method),
    ("authenticationmethod", Column::Method),
    ("authenticationtype", Column::Method),
    ("mode", Column::Mode),
    ("language", Column::Language),
    ("enabled", Column::Enabled),
    ("status", Column::Enabled),
];

/// Columns that other programs write and that say nothing here. Any other unknown column is a mistake: a phone
/// number in a misspelled column would silently be lost.
const PASSED_OVER: &[&str] = &[
    "item",
    "local",
    "quarantined",
    "created",
    "createdby",
    "changed",
    "changedby",
    "lastsignin",
    "blockeduntil",
    "devices",
    "devicetoken",
    "tokens",
    "content",
    "pin",
    "pinset",
    "pinchangerequired",
    "pinexpires",
    "pinexpirationdate",
    "usercanchangephone",
    "usercanchangepin",
    "sendemail",
    "tags",
    "sid",
    "notes",
    "textmessagelanguage",
    "mobileapplanguage",
    "oathtokenlanguage",
    "replicationgroup",
    "phonesource",
    "newpin",
];

/// What the old server calls the ways of the second proof, and what they are here.
const METHODS: &[(&str, Method)] = &[
    ("push", Method::Push),
    ("mobileapp", Method::Push),
    ("phoneapp", Method::Push),
    ("call", Method::Call),
    ("phonecall", Method::Call),
    ("voicecall", Method::Call),
    ("smsreply", Method::SmsReply),
    ("textmessage", Method::SmsReply),
    ("sms", Method::SmsReply),
];

/// A person of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line that they begin on.
    pub line: u64,
    /// What the file says of them; an empty unique id where it has none.
    pub profile: Profile,
    /// The fields that the file says something about. All others of somebody who is enrolled stay.
    pub given: Fields,
}

/// A file of people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    /// The good lines.
    pub rows: Vec<Row>,
    /// The others.
    pub bad: Vec<BadLine>,
}

/// Defaults for what a file does not say of a new person.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// How they are asked.
    pub method: Method,
    /// Their language.
    pub language: String,
    /// Country of numbers without a country code.
    pub region: Option<String>,
}

/// Reads a file. A header line is required: columns are known by their names, in any order.
///
/// # Errors
/// What is wrong with the header; then no line means anything.
pub fn read(text: &str, defaults: &Defaults) -> Result<Sheet, String> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator(text))
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let header = match records.next() {
        Some(Ok(header)) => header,
        Some(Err(error)) => return Err(format!("line 1: {error}")),
        None => return Err("is empty; the first line must name the columns".to_owned()),
    };
    let columns = columns(&header)?;
    let mut sheet = Sheet::default();
    let mut lines = Lines::new(text);
    for record in records {
        match record {
            Ok(record) => {
                let line = lines.of(record.position().map_or(0, csv::Position::byte));
                if record.iter().all(|field| field.trim().is_empty()) {
                    continue;
                }
                match row(&record, &columns, defaults) {
                    Ok((profile, given)) => sheet.rows.push(Row { line, profile, given }),
                    Err(why) => sheet.bad.push(BadLine { line, why }),
                }
            }
            Err(error) => {
                let line = lines.of(error.position().map_or(0, csv::Position::byte));
                sheet.bad.push(BadLine { line, why: "cannot be read as CSV; is a quote missing?".to_owned() });
            }
        }
    }
    refuse_repeated(&mut sheet);
    Ok(sheet)
}

fn columns(header: &csv::StringRecord) -> Result<Vec<Option<Column>>, String> {
    let mut columns = Vec::new();
    for name in header {
        let folded = column(name);
        let known = COLUMNS.iter().find(|(spelling, _)| *spelling == folded).map(|(_, column)| *column);
        if known.is_none() && !folded.is_empty() && !PASSED_OVER.contains(&folded.as_str()) {
            let known: Vec<&str> = Field::ALL.into_iter().map(Field::word).collect();
            return Err(format!(
                "line 1: the column {:?} is unknown; known: unique_id, {}, extension, country_code",
                cleaned(name),
                known.join(", ")
            ));
        }
        if known.is_some() && columns.contains(&known) {
            return Err(format!("line 1: the column {:?} is there twice", cleaned(name)));
        }
        columns.push(known);
    }
    if columns.contains(&Some(Column::Name)) || columns.contains(&Some(Column::Upn)) {
        Ok(columns)
    } else {
        Err("line 1: there is no column with the login name (name, Username or upn)".to_owned())
    }
}

fn row(
    record: &csv::StringRecord,
    columns: &[Option<Column>],
    defaults: &Defaults,
) -> Result<(Profile, Fields), String> {
    if record.len() > columns.len() {
        return Err(format!("{} fields, but the first line names {}", record.len(), columns.len()));
    }
    let get = |wanted: Column| {
        let place = columns.iter().position(|column| *column == Some(wanted))?;
        record.get(place).map(tidy)
    };
    let text = |wanted| get(wanted).filter(|text| !text.is_empty());
    let upn = text(Column::Upn).or_else(|| text(Column::Name).filter(|name| name.contains('@')));
    let name = text(Column::Name).or_else(|| upn.clone()).ok_or("no login name")?;
    for name in std::iter::once(&name).chain(&upn) {
        if !usable(name) {
            return Err("the login name is too long".to_owned());
        }
    }
    let (phone, phone_extension) = number(&text, defaults, [Column::CountryCode, Column::Phone, Column::Extension]);
    let (backup_phone, backup_extension) =
        number(&text, defaults, [Column::BackupCountryCode, Column::BackupPhone, Column::BackupExtension]);
    let method = match text(Column::Method) {
        None => defaults.method,
        Some(word) => {
            let folded = column(&word);
            let known = METHODS.iter().find(|(spelling, _)| *spelling == folded).map(|(_, method)| *method);
            known.or_else(|| word.parse().ok()).ok_or_else(|| {
                format!("unknown method {word:?}; one of {}", Method::ALL.map(Method::word).join(", "))
            })?
        }
    };
    let mode = match text(Column::Mode) {
        None => Mode::Standard,
        Some(word) => word.to_lowercase().parse()?,
    };
    let language = match text(Column::Language) {
        None => defaults.language.clone(),
        Some(tag) => language(&tag).ok_or_else(|| format!("{tag:?} is no language, such as \"en\" or \"de-CH\""))?,
    };
    let enabled = match text(Column::Enabled) {
        None => true,
        Some(word) => yes_or_no(&word).ok_or_else(|| format!("enabled is {word:?}; allowed: true, false"))?,
    };
    let mut profile = Profile::new(Person {
        unique_id: text(Column::UniqueId).map(|id| id.to_lowercase()).unwrap_or_default(),
        name,
        upn,
        dn: text(Column::Dn),
        first_name: text(Column::FirstName),
        last_name: text(Column::LastName),
        email: text(Column::Email),
        phone,
        phone_extension,
        device_token: None,
        method,
        mode,
        language,
        enabled,
        blocked_until: None,
    });
    let aliases = text(Column::Aliases).unwrap_or_default();
    profile.aliases = aliases.split([';', '|']).map(tidy).filter(|alias| usable(alias)).collect();
    profile.group = text(Column::Group);
    profile.description = text(Column::Description);
    (profile.backup_phone, profile.backup_extension) = (backup_phone, backup_extension);
    let given = columns.iter().flatten().filter_map(|column| field(*column)).collect();
    Ok((profile, given))
}

/// A number of up to three columns.
fn number(
    text: &impl Fn(Column) -> Option<String>,
    defaults: &Defaults,
    [code, number, extension]: [Column; 3],
) -> (Option<String>, Option<String>) {
    let Some(number) = text(number) else { return (None, None) };
    let code = text(code).map(|code| code.chars().filter(char::is_ascii_digit).collect::<String>());
    let whole = match code {
        Some(code) if !code.is_empty() && !number.starts_with('+') => format!("+{code} {number}"),
        _ => number,
    };
    let parsed = phone::parse(&whole, defaults.region.as_deref());
    let behind = parsed.as_ref().and_then(|phone| phone.extension.clone());
    (parsed.map(|phone| phone.number), text(extension).or(behind))
}

fn field(column: Column) -> Option<Field> {
    Some(match column {
        Column::UniqueId => return None,
        Column::Name => Field::Name,
        Column::Upn => Field::Upn,
        Column::Aliases => Field::Aliases,
        Column::Dn => Field::Dn,
        Column::FirstName => Field::FirstName,
        Column::LastName => Field::LastName,
        Column::Email => Field::Email,
        Column::Group => Field::Group,
        Column::Description => Field::Description,
        Column::CountryCode | Column::Phone | Column::Extension => Field::Phone,
        Column::BackupCountryCode | Column::BackupPhone | Column::BackupExtension => Field::BackupPhone,
        Column::Method => Field::Method,
        Column::Mode => Field::Mode,
        Column::Language => Field::Language,
        Column::Enabled => Field::Enabled,
    })
}

/// Two lines that claim one name or one unique id: the second is bad.
fn refuse_repeated(sheet: &mut Sheet) {
    let mut seen: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    let rows = std::mem::take(&mut sheet.rows);
    for row in rows {
        let names = row.profile.names().into_iter().map(|(name, _)| name);
        let id = Some(format!("id {}", row.profile.person.unique_id)).filter(|id| id.len() > 3);
        let claims: Vec<String> = names.chain(id).collect();
        match claims.iter().find_map(|claim| seen.get(claim).map(|line| (claim, *line))) {
            Some((claim, line)) => {
                let why = format!("{claim} is on line {line} already");
                sheet.bad.push(BadLine { line: row.line, why });
            }
            None => {
                seen.extend(claims.into_iter().map(|claim| (claim, row.line)));
                sheet.rows.push(row);
            }
        }
    }
    sheet.bad.sort_by_key(|bad| bad.line);
}

impl Row {
    /// The person as the file wants them who stands as `before`: fields that the file has no column for stay.
    #[must_use]
    pub fn over(&self, before: &Profile) -> Profile {
        let mut after = before.clone();
        self.given.iter().for_each(|field| field.copy(&self.profile, &mut after));
        after
    }
}

#[cfg(test)]
mod tests;

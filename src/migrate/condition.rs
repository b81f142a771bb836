//! Conditions of NPS policies, as an export writes them: `TIMEOFDAY("…")`, `USERNTGROUPS("S-1-…;S-1-…")`,
//! `MATCH("Attribute=expression")`. Pure.

/// A condition that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Whoever it is: a condition that always holds for a gateway.
    Always,
    /// The person is in one of these groups (SIDs).
    UserGroups(Vec<String>),
    /// The computer is in one of these groups (SIDs).
    ComputerGroups(Vec<String>),
    /// On each day of the week, from Sunday on, the spans in minutes from midnight.
    Hours(Box<[Vec<(u16, u16)>; 7]>),
    /// The gateway has made sure of the person by one of these: `password`, `smart_card`.
    Authentication(Vec<&'static str>),
    /// The client has this name, or one of these.
    ClientNames(Vec<String>),
    /// The client has one of these addresses.
    ClientAddresses(Vec<String>),
    /// The computer's name, with `*`.
    Computers(Vec<String>),
}

/// Reads a condition; nothing where it says something that cannot be told in our own configuration.
pub fn read(text: &str) -> Option<Condition> {
    let (kind, rest) = text.trim().split_once('(')?;
    let inside = rest.trim().strip_suffix(')')?.trim().strip_prefix('"')?.strip_suffix('"')?;
    match kind.trim() {
        "TIMEOFDAY" => times(inside),
        "NTGROUPS" | "USERNTGROUPS" => groups(inside).map(Condition::UserGroups),
        "MACHINENTGROUPS" => groups(inside).map(Condition::ComputerGroups),
        "MATCH" => matching(inside),
        _ => None,
    }
}

fn groups(text: &str) -> Option<Vec<String>> {
    let sids: Vec<String> = text.split(';').map(|sid| sid.trim().to_owned()).filter(|sid| !sid.is_empty()).collect();
    let fine = |sid: &String| crate::primary::bind_names::sid(sid).is_some();
    (!sids.is_empty() && sids.iter().all(fine)).then_some(sids)
}

/// `0 08:00-12:00 13:00-18:00; 1 …`, Sunday first.
fn times(text: &str) -> Option<Condition> {
    let mut days: [Vec<(u16, u16)>; 7] = Default::default();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let mut words = part.split([' ', ',']).filter(|word| !word.is_empty());
        let day: usize = words.next()?.parse().ok()?;
        for word in words {
            let (from, to) = word.split_once('-')?;
            let (from, to) = (minute(from)?, minute(to)?);
            if from >= to {
                return None;
            }
            days.get_mut(day)?.push((from, to));
        }
    }
    let whole = |spans: &Vec<(u16, u16)>| spans.as_slice() == [(0, 1440)];
    if days.iter().all(whole) { Some(Condition::Always) } else { Some(Condition::Hours(Box::new(days))) }
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60).then_some(hours.checked_mul(60)? + minutes).filter(|minute| *minute <= 1440)
}

fn matching(text: &str) -> Option<Condition> {
    let (attribute, expression) = text.split_once('=')?;
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    match attribute.trim() {
        // Every gateway's is 5, Virtual.
        "NAS-Port-Type" => literals(expression)?.contains(&"5".to_owned()).then_some(Condition::Always),
        // 1 is the gateway itself.
        "MS-Network-Access-Server-Type" => literals(expression)?.contains(&"1".to_owned()).then_some(Condition::Always),
        "Called-Station-Id" => {
            let kinds = expression.trim_start_matches('^').strip_prefix("UserAuthType:")?;
            let kinds = kinds.trim_end_matches('$').trim_start_matches('(').trim_end_matches(')');
            let ways = kinds.split('|').map(|kind| match kind {
                "PW" => Some("password"),
                "CA" | "SC" => Some("smart_card"),
                _ => None,
            });
            ways.collect::<Option<Vec<_>>>().map(Condition::Authentication)
        }
        "Client-Friendly-Name" => some(exact(expression)?).map(Condition::ClientNames),
        "Client-IP-Address" | "NAS-IP-Address" => some(exact(expression)?).map(Condition::ClientAddresses),
        "MS-Machine-Name" | "Machine-Name" => some(patterns(expression)?).map(Condition::Computers),
        _ => None,
    }
}

/// The texts that an expression stands for, where it is nothing but texts with `|` between them; anchors aside.
fn literals(expression: &str) -> Option<Vec<String>> {
    expression.split('|').map(|part| literal(part.strip_prefix('^').unwrap_or(part).trim_end_matches('$'))).collect()
}

/// As [`literals`], and each is anchored at both ends: an NPS expression without anchors fits anywhere in a text.
fn exact(expression: &str) -> Option<Vec<String>> {
    let parts = expression.split('|');
    parts.map(|part| part.strip_prefix('^')?.strip_suffix('$').and_then(literal)).collect()
}

/// Each alternative as a pattern with `*`.
fn patterns(expression: &str) -> Option<Vec<String>> {
    let pattern = |part: &str| {
        let (front, rest) = part.strip_prefix('^').map_or(("*", part), |rest| ("", rest));
        let (back, rest) = rest.strip_suffix('$').map_or(("*", rest), |rest| ("", rest));
        let inner: Option<Vec<String>> =
            rest.split(".*").map(|part| if part.is_empty() { Some(String::new()) } else { literal(part) }).collect();
        Some(format!("{front}{}{back}", inner?.join("*")))
    };
    expression.split('|').map(pattern).collect()
}

/// A text in which only `\` before a character has a meaning.
fn literal(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            // `\d` and the like stand for more than one text.
            '\\' => plain.push(characters.next().filter(|escaped| !escaped.is_alphanumeric())?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' => return None,
            other => plain.push(other),
        }
    }
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn conditions_of_a_gateway_are_understood() {
        let whole = "TIMEOFDAY(\"0 00:00-24:00; 1 00:00-24:00; 2 00:00-24:00; 3 00:00-24:00; 4 00:00-24:00; 5 00:00-24:00; 6 00:00-24:00\")";
        assert_eq!(read(whole), Some(Condition::Always));
        assert_eq!(read("MATCH(\"NAS-Port-Type=^5$\")"), Some(Condition::Always));
        assert_eq!(
            read("USERNTGROUPS(\"S-1-5-21-1-2-3-513;S-1-5-21-1-2-3-1104\")"),
            Some(Condition::UserGroups(texts(&["S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-1104"])))
        );
        assert_eq!(
            read("MACHINENTGROUPS(\"S-1-5-21-1-2-3-515\")"),
            Some(Condition::ComputerGroups(texts(&["S-1-5-21-1-2-3-515"])))
        );
        assert_eq!(
            read("MATCH(\"Called-Station-Id=UserAuthType:(PW|CA)\")"),
            Some(Condition::Authentication(vec!["password", "smart_card"]))
        );
        assert_eq!(
            read("MATCH(\"Client-IP-Address=^192\\.0\\.2\\.30$\")"),
            Some(Condition::ClientAddresses(texts(&["192.0.2.30"])))
        );
        assert_eq!(read("MATCH(\"MS-Machine-Name=^PC-.*|NB$\")"), Some(Condition::Computers(texts(&["PC-**", "*NB"]))));
        let Some(Condition::Hours(days)) = read("TIMEOFDAY(\"1 08:00-12:00 13:00-18:00; 2 08:00-18:00\")") else {
            panic!("not understood")
        };
        assert_eq!((days[0].len(), days[1].as_slice()), (0, &[(480, 720), (780, 1080)][..]));
    }

    #[test]
    fn whatever_may_mean_something_else_is_not() {
        for text in [
            "",
            "TIMEOFDAY",
            "TIMEOFDAY(\"7 00:00-24:00\")",
            "TIMEOFDAY(\"1 18:00-08:00\")",
            "TIMEOFDAY(\"1 8-9\")",
            "NTGROUPS(\"\")",
            "NTGROUPS(\"Domain Users\")",
            "MATCH(\"User-Name=^alice$\")",
            "MATCH(\"NAS-Port-Type=^19$\")",
            "MATCH(\"Client-IP-Address=192\\.0\\.2\")",
            "MATCH(\"Client-IP-Address=^192.0.2.30$\")",
            "MATCH(\"Client-Friendly-Name=^\\d$\")",
            "MATCH(\"Called-Station-Id=UserAuthType:(PW|XX)\")",
            "MATCH(\"MS-Machine-Name=^PC-[0-9]+$\")",
            "ABSOLUTETIME(\"x\")",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

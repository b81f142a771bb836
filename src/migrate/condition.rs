//! Conditions of NPS policies, as an export writes them: `TIMEOFDAY("…")`, `USERNTGROUPS("S-1-…;S-1-…")`,
//! `MATCH("Attribute=expression")`. What a gateway sends is known (MS-RNAP section 2.2.1), so that an expression on it
//! is tried and not read. Pure.

use regex::RegexBuilder;

/// On each day of the week, from Sunday on, the spans in minutes from midnight.
pub type Week = [Vec<(u16, u16)>; 7];

/// A client that is an RD Gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Its friendly name, where the export has one.
    pub name: Option<String>,
    /// Address or block.
    pub address: String,
}

/// A condition that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It holds for whatever a gateway asks.
    Always,
    /// It holds for nothing that a gateway asks.
    Never,
    /// The person is in one of these groups (SIDs).
    UserGroups(Vec<String>),
    /// The computer is in one of these groups (SIDs).
    ComputerGroups(Vec<String>),
    /// At these times.
    Hours(Box<Week>),
    /// The gateway has made sure of the person by one of these: `password`, `smart_card`.
    Authentication(Vec<&'static str>),
    /// The gateway has one of these addresses.
    Gateways(Vec<String>),
    /// The computer's name, with `*`.
    Computers(Vec<String>),
}

/// Reads a condition; nothing where it says something that cannot be told in our own configuration.
pub fn read(text: &str, gateways: &[Gateway]) -> Option<Condition> {
    let (kind, rest) = text.trim().split_once('(')?;
    let inside = rest.trim().strip_suffix(')')?.trim().strip_prefix('"')?.strip_suffix('"')?;
    match kind.trim() {
        "TIMEOFDAY" => week(inside).map(hours),
        "NTGROUPS" | "USERNTGROUPS" => groups(inside).map(Condition::UserGroups),
        "MACHINENTGROUPS" => groups(inside).map(Condition::ComputerGroups),
        "MATCH" => matching(inside, gateways),
        _ => None,
    }
}

/// Groups of the domain: those of S-1-5-32 are the NPS's own, which nobody else can look into.
fn groups(text: &str) -> Option<Vec<String>> {
    let parts = text.split([';', ',', '"', ' ']);
    let sids: Vec<String> = parts.filter(|sid| !sid.is_empty()).map(str::to_owned).collect();
    let fine = |sid: &String| !sid.starts_with("S-1-5-32-") && crate::primary::bind_names::sid(sid).is_some();
    (!sids.is_empty() && sids.iter().all(fine)).then_some(sids)
}

fn hours(days: Week) -> Condition {
    if days.iter().all(Vec::is_empty) {
        return Condition::Never;
    }
    let whole = |spans: &Vec<(u16, u16)>| spans.as_slice() == [(0, 1440)];
    if days.iter().all(whole) { Condition::Always } else { Condition::Hours(Box::new(days)) }
}

/// `0 08:00-12:00 13:00-18:00; 1 …`, Sunday first.
pub fn week(text: &str) -> Option<Week> {
    let mut days = Week::default();
    for part in text.split([';', '"']).map(|part| part.trim_matches([',', ' '])).filter(|part| !part.is_empty()) {
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
    for spans in &mut days {
        spans.sort_unstable();
    }
    Some(days)
}

/// The times that are in both.
pub fn both(one: &Week, other: &Week) -> Week {
    let mut both = Week::default();
    for ((both, one), other) in both.iter_mut().zip(one).zip(other) {
        let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
        both.extend(pairs.filter(|(from, to)| from < to));
    }
    both
}

/// The times that are in none of these.
pub fn outside(weeks: &[Week]) -> Week {
    let mut outside = Week::default();
    for (day, free) in outside.iter_mut().enumerate() {
        let mut spans: Vec<(u16, u16)> = weeks.iter().filter_map(|week| week.get(day)).flatten().copied().collect();
        spans.sort_unstable();
        let mut at = 0;
        for (from, to) in spans.into_iter().chain([(1440, 1440)]) {
            if at < from {
                free.push((at, from));
            }
            at = at.max(to);
        }
    }
    outside
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60).then_some(hours.checked_mul(60)? + minutes).filter(|minute| *minute <= 1440)
}

fn matching(text: &str, gateways: &[Gateway]) -> Option<Condition> {
    let (attribute, expression) = text.split_once('=')?;
    let sends = |value: &str| Some(if fits(expression, value)? { Condition::Always } else { Condition::Never });
    match attribute.trim() {
        // Every gateway's is 5, Virtual.
        "NAS-Port-Type" => sends("5"),
        // 1 is the gateway itself.
        "MS-Network-Access-Server-Type" => sends("1"),
        "Called-Station-Id" => authentication(expression),
        "Client-Friendly-Name" => of_gateways(gateways, |gateway| fits(expression, gateway.name.as_deref()?)),
        "Client-IP-Address" => of_gateways(gateways, |gateway| {
            let is_one = !gateway.address.contains('/');
            if is_one { fits(expression, &gateway.address) } else { None }
        }),
        "MS-Machine-Name" | "Machine-Name" => {
            patterns(expression).filter(|list| !list.is_empty()).map(Condition::Computers)
        }
        // No gateway sends these.
        "MS-RAS-Vendor" | "Framed-Protocol" | "Tunnel-Type" => fits(expression, "").map(|_| Condition::Never),
        _ => None,
    }
}

/// Whether an expression fits a text, somewhere in it and in either case, as NPS looks at them; nothing where it is
/// none that can be told.
fn fits(expression: &str, text: &str) -> Option<bool> {
    let expression = RegexBuilder::new(expression).case_insensitive(true).size_limit(1 << 16).build().ok()?;
    Some(expression.is_match(text))
}

fn authentication(expression: &str) -> Option<Condition> {
    let by = |kind: &str| fits(expression, &format!("UserAuthType:{kind}"));
    let (password, card, other) = (by("PW")?, by("CA")? || by("SC")?, by("Cookie")?);
    match (password, card, other) {
        (true, true, true) => Some(Condition::Always),
        (false, false, false) => Some(Condition::Never),
        (_, _, true) => None,
        (password, card, false) => {
            let ways = [(password, "password"), (card, "smart_card")];
            Some(Condition::Authentication(ways.into_iter().filter(|(is, _)| *is).map(|(_, way)| way).collect()))
        }
    }
}

fn of_gateways(gateways: &[Gateway], fits: impl Fn(&Gateway) -> Option<bool>) -> Option<Condition> {
    let mut those = Vec::new();
    for gateway in gateways {
        if fits(gateway)? {
            those.push(gateway.address.clone());
        }
    }
    Some(if those.is_empty() { Condition::Never } else { Condition::Gateways(those) })
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

    fn gateways() -> Vec<Gateway> {
        let one =
            |name: Option<&str>, address: &str| Gateway { name: name.map(str::to_owned), address: address.into() };
        vec![one(Some("RDG1"), "192.0.2.30"), one(Some("RDG10"), "192.0.2.31")]
    }

    fn read(text: &str) -> Option<Condition> {
        super::read(text, &gateways())
    }

    #[test]
    fn conditions_of_a_gateway_are_understood() {
        let whole = "TIMEOFDAY(\"0 00:00-24:00; 1 00:00-24:00; 2 00:00-24:00; 3 00:00-24:00; 4 00:00-24:00; 5 00:00-24:00; 6 00:00-24:00\")";
        let by = |ways: &[&'static str]| Condition::Authentication(ways.to_vec());
        let at = |list: &[&str]| Condition::Gateways(texts(list));
        let users = || Condition::UserGroups(texts(&["S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-1104"]));
        for (text, understood) in [
            (whole, Condition::Always),
            ("TIMEOFDAY(\"\")", Condition::Never),
            ("MATCH(\"NAS-Port-Type=^5$\")", Condition::Always),
            ("MATCH(\"NAS-Port-Type=^15$|^5$\")", Condition::Always),
            ("MATCH(\"NAS-Port-Type=^19$\")", Condition::Never),
            ("MATCH(\"MS-RAS-Vendor=^311$\")", Condition::Never),
            ("USERNTGROUPS(\"S-1-5-21-1-2-3-513;S-1-5-21-1-2-3-1104\")", users()),
            ("USERNTGROUPS(\"S-1-5-21-1-2-3-513\",\"S-1-5-21-1-2-3-1104\")", users()),
            ("MACHINENTGROUPS(\"S-1-5-21-1-2-3-515\")", Condition::ComputerGroups(texts(&["S-1-5-21-1-2-3-515"]))),
            ("MATCH(\"Called-Station-Id=UserAuthType:(PW|CA)\")", by(&["password", "smart_card"])),
            ("MATCH(\"Called-Station-Id=UserAuthType:PW|UserAuthType:CA\")", by(&["password", "smart_card"])),
            ("MATCH(\"Called-Station-Id=^UserAuthType:PW$\")", by(&["password"])),
            ("MATCH(\"Called-Station-Id=^00-11-22.*$\")", Condition::Never),
            ("MATCH(\"Called-Station-Id=.*\")", Condition::Always),
            ("MATCH(\"Client-IP-Address=^192\\.0\\.2\\.30$\")", at(&["192.0.2.30"])),
            // Without anchors an expression fits anywhere.
            ("MATCH(\"Client-IP-Address=192\\.0\\.2\")", at(&["192.0.2.30", "192.0.2.31"])),
            ("MATCH(\"Client-Friendly-Name=rdg1\")", at(&["192.0.2.30", "192.0.2.31"])),
            ("MATCH(\"Client-Friendly-Name=^RDG\\d$\")", at(&["192.0.2.30"])),
            ("MATCH(\"Client-Friendly-Name=^ASA$\")", Condition::Never),
            ("MATCH(\"MS-Machine-Name=^PC-.*|NB$\")", Condition::Computers(texts(&["PC-**", "*NB"]))),
        ] {
            assert_eq!(read(text), Some(understood), "{text}");
        }
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
            "NTGROUPS(\"S-1-5-32-545\")",
            "MATCH(\"User-Name=^alice$\")",
            "MATCH(\"NAS-Port-Type=^(?!19)$\")",
            "MATCH(\"NAS-IP-Address=^192\\.0\\.2\\.30$\")",
            "MATCH(\"Called-Station-Id=UserAuthType:(Cookie|PW)\")",
            "MATCH(\"MS-Machine-Name=^PC-[0-9]+$\")",
            "ABSOLUTETIME(\"x\")",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        // Who is known by a block, or has no friendly name, cannot be told.
        let block = [Gateway { name: None, address: "192.0.2.0/28".into() }];
        for text in ["MATCH(\"Client-IP-Address=^192\")", "MATCH(\"Client-Friendly-Name=^RDG1$\")"] {
            assert_eq!(super::read(text, &block), None, "{text}");
        }
    }

    #[test]
    fn hours_are_cut_and_turned_around() {
        let of = |text: &str| week(text).unwrap();
        let one = of("1 08:00-12:00 13:00-18:00; 2 08:00-18:00");
        assert_eq!(both(&one, &of("1 11:00-14:00; 3 00:00-24:00")), of("1 11:00-12:00 13:00-14:00"));
        let rest = outside(&[one.clone(), of("1 12:00-12:30; 2 17:00-24:00")]);
        assert_eq!(rest[1], [(0, 480), (750, 780), (1080, 1440)]);
        assert_eq!((rest[0].as_slice(), rest[2].as_slice()), (&[(0, 1440)][..], &[(0, 480)][..]));
    }
}

//! What a simulated service does: what people answer, and what goes wrong on the way. Read from a TOML file. Pure.
//!
//! ```toml
//! [server]
//! clock_skew = -600                 # seconds
//!
//! [everybody]
//! answer = "approve"
//! after = "2s"
//! fault = [{ at = "token", kind = "status", status = 401, times = 1 }]
//!
//! [person.mallory]                  # instead of [everybody], not beside it
//! answer = "fraud"
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::demo::phone::behaviour::USUAL_PIN;

/// What a person makes of a prompt, or the service for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Somebody decides on the page.
    #[default]
    Manual,
    /// Yes.
    Approve,
    /// No.
    Deny,
    /// It was not me.
    Fraud,
    /// The service has locked the person out.
    Lockout,
    /// There is no device, or it cannot be reached.
    Undeliverable,
    /// Nobody answers, until the prompt expires.
    Never,
}

/// A step of the talk with a service, for faults to be put at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Every step.
    #[default]
    Any,
    /// A token is fetched.
    Token,
    /// What the person has is looked up.
    Look,
    /// A prompt is asked for, or a code is sent.
    Begin,
    /// A prompt's state is asked for.
    Poll,
    /// A typed code is checked.
    Code,
    /// A prompt that was approved is finished.
    Finish,
    /// The stream that brings answers is opened.
    Events,
    /// A prompt is cancelled.
    Cancel,
    /// A sign of life.
    Ping,
    /// Anything else.
    Other,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request is refused with `status`, with `retry_after` where it is given. Nothing is done.
    Status,
    /// The answer comes after `wait`.
    Delay,
    /// There is no answer.
    Silence,
    /// What was asked is done, and the answer is `body`.
    Malformed,
    /// What was asked is done, and the answer says both yes and no, in the way numbered `which`.
    HalfSuccess,
    /// What was asked is done, and the answer comes octet by octet, one each `wait`.
    Drip,
    /// What was asked is done, and the connection breaks in the middle of the answer.
    Reset,
    /// What was asked is done, and the answer comes twice in one.
    Twice,
}

/// Ways to answer nonsense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Malformed {
    /// Text that is in no known form.
    #[default]
    Nonsense,
    /// Nothing at all.
    Empty,
    /// A web page, as a proxy in the way answers.
    Html,
    /// The right answer without its last octets.
    Truncated,
    /// The right answer after a megabyte of blanks.
    Huge,
    /// The right answer with octets that are not UTF-8.
    NotUtf8,
}

impl Malformed {
    /// Every one, for tests.
    pub const ALL: [Malformed; 6] = [
        Malformed::Nonsense,
        Malformed::Empty,
        Malformed::Html,
        Malformed::Truncated,
        Malformed::Huge,
        Malformed::NotUtf8,
    ];
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// At which step.
    #[serde(default)]
    pub at: Step,
    /// What.
    pub kind: Kind,
    /// How often, counted for the section that it stands in; after that all is well.
    #[serde(default = "always")]
    pub times: u32,
    /// HTTP status of `status`; 500 if left out.
    #[serde(default)]
    pub status: Option<u16>,
    /// Value of Retry-After, in seconds.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// The time of `delay` and of each octet of `drip`; one second and ten milliseconds if left out.
    #[serde(default, deserialize_with = "optional_span")]
    pub wait: Option<Duration>,
    /// The nonsense of `malformed`.
    #[serde(default)]
    pub body: Malformed,
    /// The way of `half_success`, from 0.
    #[serde(default)]
    pub which: usize,
}

impl Fault {
    /// A fault at every step, always.
    pub fn new(kind: Kind) -> Self {
        Fault {
            at: Step::Any,
            kind,
            times: always(),
            status: None,
            retry_after: None,
            wait: None,
            body: Malformed::default(),
            which: 0,
        }
    }

    /// A refusal with an HTTP status.
    pub fn status(status: u16) -> Self {
        Fault { status: Some(status), ..Fault::new(Kind::Status) }
    }

    /// Nonsense.
    pub fn malformed(body: Malformed) -> Self {
        Fault { body, ..Fault::new(Kind::Malformed) }
    }

    /// The same at one step only.
    #[must_use]
    pub fn at(self, at: Step) -> Self {
        Fault { at, ..self }
    }

    /// The same a number of times only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Fault { times, ..self }
    }
}

/// What happens to one person's prompts, or to everybody's who has no section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What they answer.
    pub answer: Decision,
    /// How long after the prompt.
    #[serde(deserialize_with = "span")]
    pub after: Duration,
    /// What they answer once more right after the first answer was fetched: a second, contradicting one.
    pub then: Option<Decision>,
    /// The code that is right when it is typed.
    pub code: String,
    /// What they type as their PIN, where the service asks for one.
    pub pin: String,
    /// What they have, in the service's own words for methods.
    pub methods: Vec<String>,
    /// The number that the sign-in page must show, where the service wants one.
    pub number: Option<String>,
    /// How long a prompt lives.
    #[serde(deserialize_with = "span")]
    pub expires: Duration,
    /// What goes wrong, the first that fits.
    pub fault: Vec<Fault>,
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            answer: Decision::Manual,
            after: Duration::ZERO,
            then: None,
            code: "123456".to_owned(),
            pin: USUAL_PIN.to_owned(),
            methods: ["push", "call", "sms", "totp", "email"].map(str::to_owned).to_vec(),
            number: None,
            expires: Duration::from_secs(60),
            fault: Vec::new(),
        }
    }
}

impl Scenario {
    /// Everybody answers this at once.
    pub fn answering(answer: Decision) -> Self {
        Scenario { answer, ..Scenario::default() }
    }

    /// Approved at once, were it not for this fault.
    pub fn with(fault: Fault) -> Self {
        Scenario { answer: Decision::Approve, fault: vec![fault], ..Scenario::default() }
    }

    /// Whether the person has this method.
    pub fn has(&self, method: &str) -> bool {
        self.methods.iter().any(|one| one == method)
    }
}

/// What is the same for all requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerScenario {
    /// How far the service's clock is ahead of ours, in seconds; negative: behind.
    pub clock_skew: i64,
    /// Whether every TLS handshake fails.
    pub refuse_tls: bool,
}

/// A scenario file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScenarioFile {
    /// What is the same for all requests.
    pub server: ServerScenario,
    /// Everybody who has no section of their own.
    pub everybody: Scenario,
    /// One person each, by the name that the service is asked for.
    pub person: BTreeMap<String, Scenario>,
}

impl ScenarioFile {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// What is wrong, with its line.
    pub fn read(text: &str) -> Result<Self, String> {
        let file: ScenarioFile = toml::from_str(text).map_err(|error| error.to_string())?;
        for (name, scenario) in file.sections() {
            for (number, fault) in scenario.fault.iter().enumerate() {
                if let Some(mistake) = mistake(fault) {
                    return Err(format!("{name}: fault {}: {mistake}", number.saturating_add(1)));
                }
            }
        }
        Ok(file)
    }

    fn sections(&self) -> impl Iterator<Item = (String, &Scenario)> {
        let people = self.person.iter().map(|(name, scenario)| (format!("[person.{name}]"), scenario));
        std::iter::once(("[everybody]".to_owned(), &self.everybody)).chain(people)
    }
}

/// Keys that do not belong to the kind of a fault, or make no sense.
fn mistake(fault: &Fault) -> Option<String> {
    let status = fault.kind == Kind::Status;
    if fault.status.is_some() && !status {
        return Some("status belongs to kind = \"status\"".to_owned());
    }
    if let Some(found) = fault.status.filter(|found| !(400..=599).contains(found)) {
        return Some(format!("status is {found}; allowed: 400 to 599"));
    }
    if fault.retry_after.is_some() && !status {
        return Some("retry_after belongs to kind = \"status\"".to_owned());
    }
    if fault.wait.is_some() && !matches!(fault.kind, Kind::Delay | Kind::Drip) {
        return Some("wait belongs to kind = \"delay\" or \"drip\"".to_owned());
    }
    (fault.times == 0).then(|| "times is 0; allowed: 1 or more".to_owned())
}

fn always() -> u32 {
    u32::MAX
}

/// A duration such as `"2s"` or `"250ms"`.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(serde::de::Error::custom)
}

fn optional_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    span(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_read_with_all_its_sections() {
        let file = ScenarioFile::read(
            r#"
            [server]
            clock_skew = -600
            [everybody]
            answer = "approve"
            after = "250ms"
            fault = [{ at = "token", kind = "status", status = 401, times = 1 }, { kind = "drip", wait = "5ms" }]
            [person.mallory]
            answer = "fraud"
            methods = ["push"]
            "#,
        )
        .expect("a good file");
        assert_eq!(file.server.clock_skew, -600);
        assert_eq!(file.everybody.after, Duration::from_millis(250));
        assert_eq!(file.everybody.fault[0], Fault::status(401).at(Step::Token).times(1));
        assert_eq!(file.everybody.fault[1].wait, Some(Duration::from_millis(5)));
        assert!(file.person["mallory"].has("push") && !file.person["mallory"].has("sms"));
        assert_eq!(ScenarioFile::read(""), Ok(ScenarioFile::default()));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("[everybody]\nanswer = \"maybe\"", "maybe"),
            ("[everbody]", "everbody"),
            ("[everybody]\nafter = \"soon\"", "after"),
            ("[everybody]\nfault = [{ kind = \"status\", status = 200 }]", "400 to 599"),
            ("[person.a]\nfault = [{ kind = \"reset\", status = 500 }]", "[person.a]: fault 1"),
            ("[everybody]\nfault = [{ kind = \"drip\", times = 0 }]", "times"),
            ("[everybody]\nfault = [{ kind = \"reset\", wait = \"1s\" }]", "wait"),
        ] {
            let mistake = ScenarioFile::read(text).expect_err(text);
            assert!(mistake.contains(word), "{text}: {mistake}");
        }
    }
}

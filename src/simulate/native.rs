//! The native protocol's simulator is the phone of the demo. This says in its words what a scenario says. Pure.

use std::time::Duration;

use crate::demo::phone;
use crate::demo::phone::behaviour::{Behaviour, Garbage, Moment};
use crate::simulate::scenario::{Decision, Fault, Kind, Malformed, Scenario, Step};

/// What the phone does to prompts of a person with this scenario.
///
/// # Errors
/// What the native protocol's simulator cannot do, in words.
pub fn behaviour(scenario: &Scenario) -> Result<Behaviour, String> {
    match scenario.fault.as_slice() {
        [] => Ok(answer(scenario)),
        [fault] => spoiled(fault),
        _ => Err("the native simulator takes one fault for each section".to_owned()),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn answer(scenario: &Scenario) -> Behaviour {
    let after_ms = milliseconds(scenario.after);
    let decision = match scenario.answer {
        Decision::Manual => return Behaviour::Manual,
        Decision::Never => return Behaviour::Never,
        Decision::Approve => phone::Decision::Approve,
        Decision::Deny => phone::Decision::Deny,
        Decision::Fraud => phone::Decision::Fraud,
        // The native protocol has no word for a lockout at the service: such a person cannot be reached.
        Decision::Lockout | Decision::Undeliverable => phone::Decision::Undeliverable,
    };
    match scenario.then {
        Some(Decision::Approve) => {
            Behaviour::Twice { first: decision, second: phone::Decision::Approve, after_ms, gap_ms: 0 }
        }
        Some(_) => Behaviour::Twice { first: decision, second: phone::Decision::Deny, after_ms, gap_ms: 0 },
        None => Behaviour::Answer { decision, after_ms },
    }
}

fn spoiled(fault: &Fault) -> Result<Behaviour, String> {
    if !matches!(fault.at, Step::Any | Step::Begin) {
        return Err("the native simulator has faults at the step \"begin\" only".to_owned());
    }
    let garbage = |garbage| Ok(Behaviour::Garbage { garbage, by_event: false });
    match fault.kind {
        Kind::Status => match (fault.status.unwrap_or(500), fault.retry_after) {
            (429, retry_after) => Ok(Behaviour::RateLimit { retry_after: retry_after.unwrap_or(0) }),
            (status, _) => Ok(Behaviour::Fail { status, prompt_sent: false }),
        },
        Kind::Silence => Ok(Behaviour::Silent { times: fault.times }),
        Kind::Reset => Ok(Behaviour::Drop { moment: Moment::After, times: fault.times }),
        Kind::Malformed => garbage(match fault.body {
            Malformed::Nonsense => Garbage::NotJson,
            Malformed::Empty => Garbage::Empty,
            Malformed::Html => Garbage::Html,
            Malformed::Truncated | Malformed::NotUtf8 => Garbage::Truncated,
            Malformed::Huge => Garbage::Huge,
        }),
        Kind::HalfSuccess => garbage(match fault.which {
            0 => Garbage::NotApproved,
            1 => Garbage::DeniedApproved,
            2 => Garbage::PendingApproved,
            3 => Garbage::NoResult,
            _ => Garbage::OtherKey,
        }),
        Kind::Delay | Kind::Drip | Kind::Twice => {
            Err(format!("the native simulator has no fault {:?}", fault.kind).to_lowercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_is_said_in_the_phones_words_or_refused() {
        let late = Scenario { after: Duration::from_millis(20), ..Scenario::answering(Decision::Deny) };
        assert_eq!(behaviour(&late), Ok(Behaviour::Answer { decision: phone::Decision::Deny, after_ms: 20 }));
        let busy = Scenario::with(Fault { retry_after: Some(3), ..Fault::status(429) });
        assert_eq!(behaviour(&busy), Ok(Behaviour::RateLimit { retry_after: 3 }));
        let silent = Scenario::with(Fault::new(Kind::Silence).times(2));
        assert_eq!(behaviour(&silent), Ok(Behaviour::Silent { times: 2 }));
        for fault in [Fault::new(Kind::Drip), Fault::status(500).at(Step::Poll)] {
            assert!(behaviour(&Scenario::with(fault)).is_err());
        }
    }
}

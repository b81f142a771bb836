//! Entra and Duo, client against simulator: what each answer means, that a yes needs every field, that nobody is asked
//! twice, what leaves the house, and what `check` says of a mistake.

#![cfg(test)]

pub(crate) mod duo;
pub(crate) mod entra;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::config::{Common, NumberMatching, Outbound, SendFields, UnreachableClass};
use anteroom::factor::{Answer, Factor, Provider, Refusal, Request, Tell};
use anteroom::secret::Secret;
use anteroom::signin::attempt::SignInId;
use anteroom::simulate::{Decision, Fault, Kind, Malformed, Options, Scenario, Service, Simulator, Step};
use anteroom::users::model::Method;

use crate::support::fakes;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What the people of every simulator answer, and what that means.
const DECISIONS: [(Decision, Answer); 5] = [
    (Decision::Approve, Answer::Approved),
    (Decision::Deny, Answer::Refused(Refusal::Denied)),
    (Decision::Fraud, Answer::Refused(Refusal::Fraud)),
    (Decision::Lockout, Answer::Refused(Refusal::LockedThere)),
    (Decision::Never, Answer::Refused(Refusal::Expired)),
];

fn common(url: String) -> Common {
    Common {
        name: "cloud".into(),
        outbound: Outbound { url, ca_file: None, proxy: None, timeout: Duration::from_secs(2) },
        send: SendFields { names: true, email: true, phone: true, person_address: true },
        failover: Vec::new(),
    }
}

async fn simulator(service: impl Service + 'static) -> Simulator {
    let options = Options { record: true, ..Options::default() };
    Simulator::start(LOOPBACK, Arc::new(service), options).await.expect("starts")
}

fn asked(method: Method, code: Option<&str>) -> Request {
    let mut random = [0; 12];
    getrandom::fill(&mut random).unwrap();
    Request {
        sign_in: SignInId::new(random),
        person: Arc::new(fakes::person()),
        method,
        code: code.map(|code| Secret::from_text(code.into())),
        application: "Head office VPN".into(),
        person_address: Some([192, 0, 2, 7].into()),
        deadline: Instant::now() + Duration::from_secs(10),
        device: None,
        number_matching: NumberMatching::Approve,
        can_type: true,
        tell: None,
        given: None,
    }
}

fn push() -> Request {
    asked(Method::Push, None)
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}

fn unreachable(class: UnreachableClass) -> Answer {
    Answer::Refused(Refusal::Unreachable(class))
}

/// Nonsense of every kind at a step never lets anybody in, and prompts nobody twice.
async fn nonsense_is_no_approval(simulator: &Simulator, provider: &dyn Provider, step: Step, halves: usize) {
    let mut faults: Vec<Fault> = Malformed::ALL.into_iter().map(Fault::malformed).collect();
    faults.extend((0..halves).map(|which| Fault { which, ..Fault::new(Kind::HalfSuccess) }));
    faults.extend([Kind::Reset, Kind::Twice].map(Fault::new));
    for fault in faults {
        let (what, before) = (format!("{fault:?}"), simulator.desk().counts().prompts);
        simulator.desk().set(None, Scenario::with(fault.at(step)));
        let answer = provider.run(push()).await;
        assert_ne!(answer, Answer::Approved, "{step:?} {what}");
        let prompts = simulator.desk().counts().prompts - before;
        assert!(prompts <= 1, "{step:?} {what}: {prompts} prompts");
        if matches!(answer, Answer::Refused(Refusal::Unreachable(_))) {
            assert_eq!(prompts, 0, "{step:?} {what}: called unreachable although somebody was asked");
        }
    }
}

/// Everything that was sent, as text.
fn sent(simulator: &Simulator) -> String {
    simulator.desk().asked().into_iter().filter_map(|asked| asked.raw).collect::<Vec<_>>().join("\n\n")
}

//! The phone simulator in this process, for tests that are not asynchronous.

use std::net::SocketAddr;

use anteroom::demo::phone::{Behaviour, Decision, PhoneOptions, Prompt};
use anteroom::secret::Secret;
use tokio::runtime::Runtime;

use super::eventually;
use super::server::{PROVIDER_KEY, PROVIDER_KEY_ID};

/// A running simulator whose prompts wait for the test, unless it is told otherwise.
#[derive(Debug)]
pub(crate) struct Phone {
    simulator: anteroom::demo::phone::Phone,
    _runtime: Runtime,
}

impl Phone {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let key = Secret::new(PROVIDER_KEY.as_bytes().to_vec());
        let options = PhoneOptions { key: Some((PROVIDER_KEY_ID.to_owned(), key)), behaviour: Behaviour::Manual };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = runtime.block_on(anteroom::demo::phone::Phone::start(address, options)).unwrap();
        Phone { simulator, _runtime: runtime }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.simulator.local_addr()
    }

    /// The first prompt of an account, which is waited for.
    pub(crate) fn prompt_of(&self, account: &str) -> Prompt {
        self.prompt_later_than(account, 0)
    }

    /// The first prompt of an account after another one, which is waited for.
    pub(crate) fn prompt_after(&self, account: &str, earlier: &Prompt) -> Prompt {
        self.prompt_later_than(account, earlier.number)
    }

    fn prompt_later_than(&self, account: &str, number: u64) -> Prompt {
        eventually(&format!("a prompt of {account}"), || {
            let prompts = self.simulator.prompts().into_iter();
            prompts
                .filter(|prompt| &*prompt.person == account && prompt.number > number)
                .min_by_key(|prompt| prompt.number)
        })
    }

    /// Approves what is pending of the prompt's person.
    pub(crate) fn approve(&self, prompt: &Prompt) {
        assert!(
            self.simulator.decide(&prompt.person, Decision::Approve) > 0,
            "nothing was pending of {}",
            prompt.person
        );
    }

    /// Denies what is pending of the prompt's person.
    pub(crate) fn deny(&self, prompt: &Prompt) {
        assert!(self.simulator.decide(&prompt.person, Decision::Deny) > 0, "nothing was pending of {}", prompt.person);
    }

    /// From now on everybody approves at once.
    pub(crate) fn approve_by_itself(&self) {
        self.simulator.set_behaviour(None, Behaviour::Answer { decision: Decision::Approve, after_ms: 0 });
    }

    /// From now on this person approves at once.
    pub(crate) fn approves_by_itself(&self, account: &str) {
        self.simulator.set_behaviour(Some(account), Behaviour::Answer { decision: Decision::Approve, after_ms: 0 });
    }

    /// From now on this person denies at once.
    pub(crate) fn deny_by_itself(&self, account: &str) {
        self.simulator.set_behaviour(Some(account), Behaviour::Answer { decision: Decision::Deny, after_ms: 0 });
    }

    /// From now on the service wants a typed code of everybody.
    pub(crate) fn want_codes(&self) {
        self.simulator.set_behaviour(None, Behaviour::Answer { decision: Decision::NeedsCode, after_ms: 0 });
    }

    /// What an account types on its phone from now on: its PIN, or another number than the one that is shown.
    pub(crate) fn types(&self, account: &str, pin: Option<&str>, number: Option<&str>) {
        self.simulator.types(account, pin, number);
    }

    /// How many prompts wait for an answer.
    pub(crate) fn open(&self) -> usize {
        self.simulator.pending()
    }

    /// How many prompts have gone out.
    pub(crate) fn asked(&self) -> u64 {
        self.simulator.counts().prompts
    }
}

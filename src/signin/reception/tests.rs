use super::*;

/// Octets of the future that a function of three arguments returns.
fn size<A, B, C, F>(_: impl FnOnce(A, B, C) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn a_request_that_was_handed_on_is_small() {
    fn two<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }
    fn four<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    use crate::signin::trying;
    let (tries, hands_on) = (two(trying::check_password), four(trying::hand_on));
    let checks = four(crate::primary::check_handed);
    assert!(tries <= 488 && hands_on <= 320 && checks <= 144, "tries {tries}, hands on {hands_on}, checks {checks}");
}

#[test]
fn a_held_sign_in_is_small() {
    let (task, flow) = (size(SignIns::lead), size(flow::flow));
    let waiting = size(|waiting: Waiting, (), ()| waiting.outcome());
    let state = size_of::<Ending>();
    assert!(state <= 312, "state {state}");
    assert!(task <= 176 && flow <= 256 && waiting <= 184, "task {task}, flow {flow}, waiting {waiting}");
}

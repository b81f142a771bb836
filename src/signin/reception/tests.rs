use super::*;

/// Octets of the future that a function of three arguments returns.
fn size<A, B, C, F>(_: impl FnOnce(A, B, C) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn a_held_sign_in_is_small() {
    let (task, flow) = (size(SignIns::lead), size(flow::flow));
    let waiting = size(|waiting: Waiting, (), ()| waiting.outcome());
    let state = size_of::<Ending>();
    assert!(state <= 320, "state {state}");
    assert!(task <= 192 && flow <= 320 && waiting <= 272, "task {task}, flow {flow}, waiting {waiting}");
}

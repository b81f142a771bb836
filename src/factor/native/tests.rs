use super::*;

#[test]
fn status_is_sorted_by_whether_a_prompt_can_have_been_sent() {
    use UnreachableClass::{RateLimited, ServerError};
    let none = br#"{"error":"maintenance","prompt_sent":false}"#.as_slice();
    let maybe = br#"{"error":"oops","prompt_sent":true}"#.as_slice();
    let table = [
        (429, b"".as_slice(), false, Refusal::Unreachable(RateLimited)),
        (429, b"", true, Refusal::Lost),
        (503, none, false, Refusal::Unreachable(ServerError)),
        (503, none, true, Refusal::Lost),
        (503, maybe, false, Refusal::Lost),
        (503, b"<html>", false, Refusal::Lost),
        (500, b"{}", false, Refusal::Lost),
        (400, none, false, Refusal::Misconfigured),
        (401, b"", false, Refusal::Misconfigured),
        (403, b"", false, Refusal::Misconfigured),
        (204, b"", false, Refusal::Garbled),
        (302, b"", false, Refusal::Garbled),
        (600, none, false, Refusal::Garbled),
    ];
    for (status, body, maybe_sent, expected) in table {
        assert_eq!(refusal_of(status, body, maybe_sent), expected, "{status} {maybe_sent}");
    }
}

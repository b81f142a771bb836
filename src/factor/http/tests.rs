use super::*;

const CLASSES: [UnreachableClass; 2] = [UnreachableClass::Connect, UnreachableClass::Tls];

fn reply(status: u16, header: Option<(&'static str, &str)>) -> Reply {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        headers.insert(name, value.parse().unwrap());
    }
    Reply { status, headers: Some(Box::new(headers)), body: Bytes::new(), certificate_expires: None }
}

#[test]
fn what_may_have_prompted_is_never_called_unreachable() {
    for failure in [Failure::Broken, Failure::OutOfTime, Failure::TooLong] {
        assert!(!matches!(failure.refusal(true), Refusal::Unreachable(_)), "{failure:?}");
        assert!(matches!(failure.refusal(false), Refusal::Unreachable(_)), "{failure:?}");
    }
    assert_eq!(reply(500, None).trouble(true), Some(Refusal::Lost));
    assert_eq!(reply(503, None).trouble(true), Some(Refusal::Unreachable(UnreachableClass::ServerError)));
    assert_eq!(reply(503, None).trouble(false), Some(Refusal::Unreachable(UnreachableClass::ServerError)));
}

#[test]
fn what_was_never_sent_is_unreachable_either_way() {
    for class in CLASSES {
        assert_eq!(Failure::Unsent(class).refusal(true), Refusal::Unreachable(class));
        assert_eq!(Failure::Unsent(class).refusal(false), Refusal::Unreachable(class));
    }
    for (status, class) in
        [(401, UnreachableClass::Refused), (403, UnreachableClass::Refused), (429, UnreachableClass::RateLimited)]
    {
        assert_eq!(reply(status, None).trouble(true), Some(Refusal::Unreachable(class)));
    }
    assert_eq!(reply(200, None).trouble(true), None);
    assert_eq!(reply(400, None).trouble(true), None);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let asked = |name, value: &str| reply(429, Some((name, value))).retry_after();
    assert_eq!(asked("retry-after", "3"), Some(Duration::from_secs(3)));
    assert_eq!(asked("x-retry-after", " 4 "), Some(Duration::from_secs(4)));
    assert_eq!(asked("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    let far = asked("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
    assert!(far > LONGEST_PAUSE);
    assert_eq!(asked("retry-after", "soon"), None);
    assert_eq!(reply(429, None).retry_after(), None);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_was_asked_for_is_kept_and_ends() {
    let outbound =
        Outbound { url: "http://127.0.0.1:9".into(), ca_file: None, proxy: None, timeout: Duration::from_secs(1) };
    let http = Http::new(&outbound, None).unwrap();
    assert_eq!(http.paused(), None);
    http.keep_quiet(Duration::from_secs(10));
    http.keep_quiet(Duration::from_secs(2));
    assert_eq!(http.paused(), Some(Duration::from_secs(10)), "the longer one counts");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(http.paused(), None);
    http.keep_quiet(Duration::from_secs(999_999));
    assert_eq!(http.paused(), Some(LONGEST_PAUSE));
}

#[test]
fn addresses_that_others_could_listen_to_are_refused() {
    assert!(matches!(base_url("http://cloud.example"), Err(BuildError::Unprotected)));
    assert!(matches!(base_url("ftp://cloud.example"), Err(BuildError::UnfitUrl)));
    assert!(matches!(base_url("https://a:b@cloud.example"), Err(BuildError::UnfitUrl)));
    assert_eq!(base_url("https://cloud.example/x").unwrap().as_str(), "https://cloud.example/x/");
    assert!(base_url("http://[::1]:1").is_ok());
}

//! One request at a simulated service: what it is about, what goes wrong on the way, the answer, the log.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};

use crate::factor::native::client::unix_now;
use crate::simulate::House;
use crate::simulate::prompt::Asked;
use crate::simulate::scenario::{Fault, Kind, Malformed};
use crate::simulate::service::{Call, Reply};

/// Longest request body, in octets.
const LONGEST_BODY: usize = 256 * 1024;

/// Time of `delay` where the scenario names none.
const DELAY: Duration = Duration::from_secs(1);

/// Time of each octet of `drip` where the scenario names none.
const OCTET: Duration = Duration::from_millis(10);

/// Blanks before an answer that is too long, in octets.
const HUGE: usize = 1024 * 1024;

/// Gives a request of HTTP/2, which names its host elsewhere (RFC 9113 section 8.3.1), the `Host` of HTTP/1.1.
pub(super) async fn with_host(mut request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::HOST)
        && let Some(host) = request.uri().authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    next.run(request).await
}

/// Handles what is neither the page nor the simulator's own API, and tells the service's own time as every server does
/// (RFC 9110 section 6.6.1).
pub(super) async fn handle(Shared(house): Shared<Arc<House>>, request: Request) -> Response {
    let clock = house.desk.clock();
    let mut response = answered(house, request).await;
    let time = i64::try_from(clock).ok().and_then(|clock| jiff::Timestamp::from_second(clock).ok());
    let date = time.map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(date) = date.and_then(|date| HeaderValue::try_from(date).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

async fn answered(house: Arc<House>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let desk = &house.desk;
    let (now, tls) = (desk.clock(), house.tls);
    let call = Call { method: parts.method, uri: parts.uri, headers: parts.headers, body, now, tls };
    let about = house.service.about(&call, desk);
    let fault = desk.fault(about.step, about.person.as_deref());
    let mut asked = Asked {
        at: unix_now(),
        step: about.step,
        person: about.person,
        line: format!("{} {}", call.method, call.path()),
        fields: about.fields,
        status: 0,
        fault: fault.as_ref().map(|fault| fault.kind),
        raw: house.record.then(|| raw(&call)),
    };
    let Some(fault) = fault else {
        let reply = house.service.answer(&call, desk).await;
        asked.status = reply.status;
        desk.log(asked);
        return whole(reply);
    };
    match fault.kind {
        Kind::Silence => {
            desk.log(asked);
            std::future::pending().await
        }
        Kind::Status => {
            let mut reply = house.service.refusal(asked.step, fault.status.unwrap_or(500));
            if let Some(seconds) = fault.retry_after {
                reply = reply.header(header::RETRY_AFTER, seconds.to_string());
            }
            asked.status = reply.status;
            desk.log(asked);
            whole(reply)
        }
        Kind::Delay => {
            tokio::time::sleep(fault.wait.unwrap_or(DELAY)).await;
            let reply = house.service.answer(&call, desk).await;
            asked.status = reply.status;
            desk.log(asked);
            whole(reply)
        }
        Kind::Malformed | Kind::HalfSuccess | Kind::Drip | Kind::Reset | Kind::Twice => {
            let reply = house.service.answer(&call, desk).await;
            asked.status = reply.status;
            desk.log(asked);
            spoiled(&house, reply, &fault)
        }
    }
}

/// A right answer, spoiled.
fn spoiled(house: &House, mut reply: Reply, fault: &Fault) -> Response {
    match fault.kind {
        Kind::HalfSuccess => whole(house.service.half_success(reply, fault.which)),
        Kind::Malformed => {
            malform(&mut reply, fault.body);
            whole(reply)
        }
        Kind::Twice => {
            reply.body.extend_from_within(..);
            whole(reply)
        }
        Kind::Drip => {
            let wait = fault.wait.unwrap_or(OCTET);
            let octets = std::mem::take(&mut reply.body);
            let body = stream::unfold(octets.into_iter(), move |mut octets| async move {
                let octet = octets.next()?;
                tokio::time::sleep(wait).await;
                Some((Ok::<_, Infallible>(Bytes::copy_from_slice(&[octet])), octets))
            });
            response(reply, Body::from_stream(body))
        }
        Kind::Reset => {
            let half = reply.body.len() / 2;
            reply.body.truncate(half);
            let first = Bytes::from(std::mem::take(&mut reply.body));
            // An error in a body ends the connection, or the stream of an HTTP/2 connection.
            let body = stream::iter([Ok(first), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
            response(reply, Body::from_stream(body))
        }
        Kind::Status | Kind::Delay | Kind::Silence => whole(reply),
    }
}

fn malform(reply: &mut Reply, how: Malformed) {
    match how {
        Malformed::Nonsense => reply.body = b"result=allow&approved=true".to_vec(),
        Malformed::Empty => reply.body.clear(),
        Malformed::Html => {
            reply.kind = "text/html";
            reply.body = b"<!doctype html><title>Sign in to the network</title><p>success".to_vec();
        }
        Malformed::Truncated => reply.body.truncate(reply.body.len().saturating_sub(2)),
        Malformed::Huge => {
            let body = std::mem::replace(&mut reply.body, vec![b' '; HUGE]);
            reply.body.extend_from_slice(&body);
        }
        Malformed::NotUtf8 => {
            let middle = reply.body.len() / 2;
            reply.body.insert(middle, 0xff);
        }
    }
}

fn whole(mut reply: Reply) -> Response {
    let first = Bytes::from(std::mem::take(&mut reply.body));
    let body = match reply.more.take() {
        None => Body::from(first),
        Some(more) => Body::from_stream(stream::once(std::future::ready(Ok(first))).chain(more.into_data_stream())),
    };
    response(reply, body)
}

fn response(reply: Reply, body: Body) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::new();
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(name, value);
        }
    }
    if !reply.kind.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    }
    (status, headers, body).into_response()
}

/// A request as text, secrets and all: for tests that look for what must not be sent.
fn raw(call: &Call) -> String {
    let mut text = format!("{} {}\n", call.method, call.uri);
    for (name, value) in &call.headers {
        // A String takes any text.
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let _ = write!(text, "\n{}", String::from_utf8_lossy(&call.body));
    text
}

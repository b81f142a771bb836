//! `[radius.tls]` as written.

use serde::Deserialize;

use super::super::Eleven;
use super::super::values::{Count, OneOrMany, Span, Word};

/// `[radius.tls]`: RADIUS over TLS.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is explained in conf/anteroom.toml")]
pub struct RadiusTls {
    pub listen: Option<OneOrMany>,
    pub certificate: Option<String>,
    pub certificate_key: Option<String>,
    pub client_ca_file: Option<String>,
    pub client_crl_file: Option<String>,
    pub radius_1_1: Option<Word<Eleven>>,
    pub connections: Option<Count>,
    pub first_packet_within: Option<Span>,
    pub idle: Option<Span>,
    pub send_within: Option<Span>,
}

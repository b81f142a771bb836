//! The names that the configuration may use: numbers of the RFCs from the `radius` crate, vendors' numbers
//! from the vendors' own documentation.

use radius::core::{rfc2865 as r2865, rfc2866 as r2866, rfc2868 as r2868, rfc2869 as r2869};
use radius::core::{rfc3162 as r3162, rfc3580 as r3580, rfc6911 as r6911};

use super::Kind;

/// One named attribute.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: &'static str,
    pub(super) vendor: Option<u32>,
    pub(super) number: u8,
    pub(super) kind: Kind,
    pub(super) values: &'static [(&'static str, u32)],
}

const fn standard(name: &'static str, number: u8, kind: Kind) -> Named {
    Named { name, vendor: None, number, kind, values: &[] }
}

const fn valued(name: &'static str, number: u8, kind: Kind, values: &'static [(&'static str, u32)]) -> Named {
    Named { name, vendor: None, number, kind, values }
}

const fn vendors(vendor: u32, name: &'static str, number: u8, kind: Kind) -> Named {
    Named { name, vendor: Some(vendor), number, kind, values: &[] }
}

const CISCO: u32 = 9;
const MICROSOFT: u32 = 311;
const CHECK_POINT: u32 = 2620;
const JUNIPER: u32 = 2636;
const CISCO_ASA: u32 = 3076;
const F5: u32 = 3375;
const CITRIX: u32 = 3845;
const SONICWALL: u32 = 8741;
const FORTINET: u32 = 12356;
const ARUBA: u32 = 14823;
const MIKROTIK: u32 = 14988;
const PALO_ALTO: u32 = 25461;

/// What replies are made of by Anteroom itself, or could not be built from a configured text.
const OWN: Kind = Kind::Refused("Anteroom puts it into replies where it is due");
const ENCRYPTED: Kind = Kind::Refused("its value must be encrypted for each reply, which is not supported");
const REQUEST: Kind = Kind::Refused("it belongs into requests, not into replies");
const MEMBER: Kind = Kind::Refused("name the vendor's attribute itself");

/// Whether an attribute's value is encrypted for each reply: it cannot be written by hand, but a target's can be
/// passed or dropped.
pub(super) fn is_encrypted(named: &Named) -> bool {
    named.kind == ENCRYPTED
}

pub(super) const TABLE: &[Named] = &[
    // RFC 2865
    standard("User-Name", r2865::USER_NAME_TYPE, Kind::Text),
    standard("User-Password", r2865::USER_PASSWORD_TYPE, REQUEST),
    standard("CHAP-Password", r2865::CHAP_PASSWORD_TYPE, REQUEST),
    standard("CHAP-Challenge", r2865::CHAP_CHALLENGE_TYPE, REQUEST),
    standard("NAS-IP-Address", r2865::NAS_IP_ADDRESS_TYPE, REQUEST),
    standard("NAS-Identifier", r2865::NAS_IDENTIFIER_TYPE, REQUEST),
    standard("NAS-Port", r2865::NAS_PORT_TYPE, REQUEST),
    standard("NAS-Port-Type", r2865::NAS_PORT_TYPE_TYPE, REQUEST),
    valued("Service-Type", r2865::SERVICE_TYPE_TYPE, Kind::Integer, SERVICE_TYPES),
    valued("Framed-Protocol", r2865::FRAMED_PROTOCOL_TYPE, Kind::Integer, FRAMED_PROTOCOLS),
    standard("Framed-IP-Address", r2865::FRAMED_IP_ADDRESS_TYPE, Kind::Ipv4),
    standard("Framed-IP-Netmask", r2865::FRAMED_IP_NETMASK_TYPE, Kind::Ipv4),
    standard("Framed-Routing", r2865::FRAMED_ROUTING_TYPE, Kind::Integer),
    standard("Filter-Id", r2865::FILTER_ID_TYPE, Kind::Text),
    standard("Framed-MTU", r2865::FRAMED_MTU_TYPE, Kind::Integer),
    valued("Framed-Compression", r2865::FRAMED_COMPRESSION_TYPE, Kind::Integer, FRAMED_COMPRESSIONS),
    standard("Login-IP-Host", r2865::LOGIN_IP_HOST_TYPE, Kind::Ipv4),
    valued("Login-Service", r2865::LOGIN_SERVICE_TYPE, Kind::Integer, LOGIN_SERVICES),
    standard("Login-TCP-Port", r2865::LOGIN_TCP_PORT_TYPE, Kind::Integer),
    standard("Reply-Message", r2865::REPLY_MESSAGE_TYPE, Kind::Text),
    standard("Callback-Number", r2865::CALLBACK_NUMBER_TYPE, Kind::Text),
    standard("Callback-Id", r2865::CALLBACK_ID_TYPE, Kind::Text),
    standard("Framed-Route", r2865::FRAMED_ROUTE_TYPE, Kind::Text),
    standard("State", r2865::STATE_TYPE, OWN),
    standard("Class", r2865::CLASS_TYPE, Kind::Octets),
    standard("Vendor-Specific", r2865::VENDOR_SPECIFIC_TYPE, MEMBER),
    standard("Session-Timeout", r2865::SESSION_TIMEOUT_TYPE, Kind::Integer),
    standard("Idle-Timeout", r2865::IDLE_TIMEOUT_TYPE, Kind::Integer),
    valued("Termination-Action", r2865::TERMINATION_ACTION_TYPE, Kind::Integer, TERMINATION_ACTIONS),
    standard("Called-Station-Id", r2865::CALLED_STATION_ID_TYPE, REQUEST),
    standard("Calling-Station-Id", r2865::CALLING_STATION_ID_TYPE, Kind::RequestText),
    standard("Proxy-State", r2865::PROXY_STATE_TYPE, OWN),
    standard("Port-Limit", r2865::PORT_LIMIT_TYPE, Kind::Integer),
    // RFC 2866
    standard("Acct-Session-Id", r2866::ACCT_SESSION_ID_TYPE, REQUEST),
    standard("Acct-Multi-Session-Id", r2866::ACCT_MULTI_SESSION_ID_TYPE, REQUEST),
    // RFC 2868
    valued("Tunnel-Type", r2868::TUNNEL_TYPE_TYPE, Kind::TaggedInteger, TUNNEL_TYPES),
    valued("Tunnel-Medium-Type", r2868::TUNNEL_MEDIUM_TYPE_TYPE, Kind::TaggedInteger, TUNNEL_MEDIA),
    standard("Tunnel-Client-Endpoint", r2868::TUNNEL_CLIENT_ENDPOINT_TYPE, Kind::TaggedText),
    standard("Tunnel-Server-Endpoint", r2868::TUNNEL_SERVER_ENDPOINT_TYPE, Kind::TaggedText),
    standard("Tunnel-Password", r2868::TUNNEL_PASSWORD_TYPE, ENCRYPTED),
    standard("Tunnel-Private-Group-Id", r2868::TUNNEL_PRIVATE_GROUP_ID_TYPE, Kind::TaggedText),
    standard("Tunnel-Assignment-Id", r2868::TUNNEL_ASSIGNMENT_ID_TYPE, Kind::TaggedText),
    standard("Tunnel-Preference", r2868::TUNNEL_PREFERENCE_TYPE, Kind::TaggedInteger),
    // RFC 2869
    standard("Event-Timestamp", r2869::EVENT_TIMESTAMP_TYPE, Kind::Date),
    standard("Password-Retry", r2869::PASSWORD_RETRY_TYPE, Kind::Integer),
    standard("Prompt", r2869::PROMPT_TYPE, Kind::Integer),
    standard("Connect-Info", r2869::CONNECT_INFO_TYPE, REQUEST),
    standard("EAP-Message", r2869::EAP_MESSAGE_TYPE, OWN),
    standard("Message-Authenticator", r2869::MESSAGE_AUTHENTICATOR_TYPE, OWN),
    standard("Acct-Interim-Interval", r2869::ACCT_INTERIM_INTERVAL_TYPE, Kind::Integer),
    standard("NAS-Port-Id", r2869::NAS_PORT_ID_TYPE, REQUEST),
    standard("Framed-Pool", r2869::FRAMED_POOL_TYPE, Kind::Text),
    // RFC 3162, RFC 6911
    standard("NAS-IPv6-Address", r3162::NAS_IPV6_ADDRESS_TYPE, REQUEST),
    standard("Login-IPv6-Host", r3162::LOGIN_IPV6_HOST_TYPE, Kind::Ipv6),
    standard("Framed-IPv6-Route", r3162::FRAMED_IPV6_ROUTE_TYPE, Kind::Text),
    standard("Framed-IPv6-Pool", r3162::FRAMED_IPV6_POOL_TYPE, Kind::Text),
    standard("Framed-IPv6-Address", r6911::FRAMED_IPV6_ADDRESS_TYPE, Kind::Ipv6),
    standard("DNS-Server-IPv6-Address", r6911::DNS_SERVER_IPV6_ADDRESS_TYPE, Kind::Ipv6),
    // Vendors
    vendors(CISCO, "Cisco-AVPair", 1, Kind::Text),
    vendors(MICROSOFT, "MS-CHAP-Response", 1, REQUEST),
    vendors(MICROSOFT, "MS-MPPE-Encryption-Policy", 7, Kind::Integer),
    vendors(MICROSOFT, "MS-MPPE-Encryption-Types", 8, Kind::Integer),
    vendors(MICROSOFT, "MS-CHAP-Challenge", 11, REQUEST),
    vendors(MICROSOFT, "MS-MPPE-Send-Key", 16, ENCRYPTED),
    vendors(MICROSOFT, "MS-MPPE-Recv-Key", 17, ENCRYPTED),
    vendors(MICROSOFT, "MS-CHAP2-Response", 25, REQUEST),
    vendors(MICROSOFT, "MS-Primary-DNS-Server", 28, Kind::Ipv4),
    vendors(MICROSOFT, "MS-Secondary-DNS-Server", 29, Kind::Ipv4),
    vendors(MICROSOFT, "MS-Primary-NBNS-Server", 30, Kind::Ipv4),
    vendors(MICROSOFT, "MS-Secondary-NBNS-Server", 31, Kind::Ipv4),
    vendors(CHECK_POINT, "CP-Gaia-User-Role", 229, Kind::Text),
    vendors(CHECK_POINT, "CP-Gaia-SuperUser-Access", 230, Kind::Integer),
    vendors(JUNIPER, "Juniper-Local-User-Name", 1, Kind::Text),
    vendors(JUNIPER, "Juniper-Allow-Commands", 2, Kind::Text),
    vendors(JUNIPER, "Juniper-Deny-Commands", 3, Kind::Text),
    vendors(CISCO_ASA, "ASA-Group-Policy", 25, Kind::Text),
    vendors(F5, "F5-LTM-User-Role", 1, Kind::Integer),
    vendors(F5, "F5-LTM-User-Info-1", 12, Kind::Text),
    vendors(CITRIX, "Citrix-User-Groups", 16, Kind::Text),
    vendors(SONICWALL, "SonicWall-User-Group", 3, Kind::Text),
    vendors(FORTINET, "Fortinet-Group-Name", 1, Kind::Text),
    vendors(FORTINET, "Fortinet-Client-IP-Address", 2, Kind::Ipv4),
    vendors(FORTINET, "Fortinet-Vdom-Name", 3, Kind::Text),
    vendors(FORTINET, "Fortinet-Access-Profile", 6, Kind::Text),
    vendors(ARUBA, "Aruba-User-Role", 1, Kind::Text),
    vendors(ARUBA, "Aruba-User-Vlan", 2, Kind::Integer),
    vendors(MIKROTIK, "Mikrotik-Group", 3, Kind::Text),
    vendors(MIKROTIK, "Mikrotik-Rate-Limit", 8, Kind::Text),
    vendors(PALO_ALTO, "PaloAlto-Admin-Role", 1, Kind::Text),
    vendors(PALO_ALTO, "PaloAlto-Admin-Access-Domain", 2, Kind::Text),
    vendors(PALO_ALTO, "PaloAlto-User-Group", 5, Kind::Text),
    vendors(PALO_ALTO, "PaloAlto-User-Domain", 6, Kind::Text),
    vendors(PALO_ALTO, "PaloAlto-Client-Source-IP", 7, Kind::RequestText),
];

const SERVICE_TYPES: &[(&str, u32)] = &[
    ("Login-User", r2865::SERVICE_TYPE_LOGIN_USER),
    ("Framed-User", r2865::SERVICE_TYPE_FRAMED_USER),
    ("Callback-Login-User", r2865::SERVICE_TYPE_CALLBACK_LOGIN_USER),
    ("Callback-Framed-User", r2865::SERVICE_TYPE_CALLBACK_FRAMED_USER),
    ("Outbound-User", r2865::SERVICE_TYPE_OUTBOUND_USER),
    ("Administrative-User", r2865::SERVICE_TYPE_ADMINISTRATIVE_USER),
    ("NAS-Prompt-User", r2865::SERVICE_TYPE_NAS_PROMPT_USER),
    ("Authenticate-Only", r2865::SERVICE_TYPE_AUTHENTICATE_ONLY),
    ("Callback-NAS-Prompt", r2865::SERVICE_TYPE_CALLBACK_NAS_PROMPT),
    ("Call-Check", r2865::SERVICE_TYPE_CALL_CHECK),
    ("Callback-Administrative", r2865::SERVICE_TYPE_CALLBACK_ADMINISTRATIVE),
];

const FRAMED_PROTOCOLS: &[(&str, u32)] = &[
    ("PPP", r2865::FRAMED_PROTOCOL_PPP),
    ("SLIP", r2865::FRAMED_PROTOCOL_SLIP),
    ("ARAP", r2865::FRAMED_PROTOCOL_ARAP),
];

const FRAMED_COMPRESSIONS: &[(&str, u32)] = &[
    ("None", r2865::FRAMED_COMPRESSION_NONE),
    ("Van-Jacobson-TCP-IP", r2865::FRAMED_COMPRESSION_VAN_JACOBSON_TCP_IP),
    ("IPX-Header-Compression", r2865::FRAMED_COMPRESSION_IPX_HEADER_COMPRESSION),
    ("Stac-LZS", r2865::FRAMED_COMPRESSION_STAC_LZS),
];

const LOGIN_SERVICES: &[(&str, u32)] = &[
    ("Telnet", r2865::LOGIN_SERVICE_TELNET),
    ("Rlogin", r2865::LOGIN_SERVICE_RLOGIN),
    ("TCP-Clear", r2865::LOGIN_SERVICE_TCP_CLEAR),
    ("PortMaster", r2865::LOGIN_SERVICE_PORT_MASTER),
    ("LAT", r2865::LOGIN_SERVICE_LAT),
    ("X25-PAD", r2865::LOGIN_SERVICE_X25_PAD),
    ("X25-T3POS", r2865::LOGIN_SERVICE_X25_T3POS),
    ("TCP-Clear-Quiet", r2865::LOGIN_SERVICE_TCP_CLEAR_QUIET),
];

const TERMINATION_ACTIONS: &[(&str, u32)] =
    &[("Default", r2865::TERMINATION_ACTION_DEFAULT), ("RADIUS-Request", r2865::TERMINATION_ACTION_RADIUS_REQUEST)];

const TUNNEL_TYPES: &[(&str, u32)] = &[
    ("PPTP", r2868::TUNNEL_TYPE_PPTP),
    ("L2TP", r2868::TUNNEL_TYPE_L2TP),
    ("ESP", r2868::TUNNEL_TYPE_ESP),
    ("VLAN", r3580::TUNNEL_TYPE_VLAN),
];

const TUNNEL_MEDIA: &[(&str, u32)] = &[
    ("IPv4", r2868::TUNNEL_MEDIUM_TYPE_I_PV_4),
    ("IPv6", r2868::TUNNEL_MEDIUM_TYPE_I_PV_6),
    ("IEEE-802", r2868::TUNNEL_MEDIUM_TYPE_IEEE_802),
];

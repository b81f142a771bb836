//! An export of Microsoft's NPS (`netsh nps export`, `Export-NpsConfiguration`): its RADIUS clients and its network
//! policies. Pure.
//!
//! Objects are elements with a `Properties` and a `Children` element; their names stand in the attribute `name`, and
//! with other characters in the tag. What is here was learned from published exports; nothing of them is kept.

use super::tree::{self, Node};
use crate::secret::Secret;

/// Where everything is.
const SERVICE: [&str; 2] = ["Children", "Microsoft_Internet_Authentication_Service"];

/// An export.
#[derive(Debug, Default)]
pub struct Export {
    /// RADIUS clients, in their order.
    pub clients: Vec<Client>,
    /// Network policies, in the order in which NPS looks at them.
    pub policies: Vec<Policy>,
    /// Remote RADIUS server groups, by name, with their lines.
    pub groups: Vec<(String, u64)>,
    /// Connection request policies, in the order in which NPS looks at them.
    pub requests: Vec<Request>,
}

/// A connection request policy: where a request goes. NPS refuses what none fits.
#[derive(Debug)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// Line of the export.
    pub line: u64,
    /// Its place.
    sequence: i64,
    /// Whether it is in use.
    pub enabled: bool,
    /// Its conditions, as written; all must hold.
    pub conditions: Vec<(String, u64)>,
    /// The remote RADIUS server group that its requests go to.
    pub group: Option<String>,
}

impl Request {
    /// The one that every NPS has from the start.
    pub fn is_preset(&self) -> bool {
        self.name == "Use Windows authentication for all users"
    }
}

/// A RADIUS client.
#[derive(Debug)]
pub struct Client {
    /// Its friendly name.
    pub name: String,
    /// Line of the export.
    pub line: u64,
    /// Address, block or DNS name.
    pub address: String,
    /// The shared secret, where the export has it.
    pub secret: Option<Secret>,
    /// Whether there are blanks around the shared secret, which are not taken over.
    pub trimmed: bool,
    /// Whether its requests must be signed.
    pub signs: bool,
    /// Whether it is in use.
    pub enabled: bool,
}

/// A network policy, with what its profile says.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Line of the export.
    pub line: u64,
    /// Its place.
    sequence: i64,
    /// Whether it is in use.
    pub enabled: bool,
    /// The kind of access server that it is for; 0: every kind, 1: RD Gateway.
    pub source: i64,
    /// Its conditions, as written; all must hold.
    pub conditions: Vec<(String, u64)>,
    /// Whether it grants access.
    pub grants: bool,
    /// Ways to authenticate that it allows; 7: none is negotiated.
    pub authentication: Vec<i64>,
    /// Whether the account's own dial-in permission does not count.
    pub ignores_dial_in: bool,
    /// Times at which its profile allows to connect.
    pub times: Vec<(String, u64)>,
    /// Constraints of its profile that cannot be told here, by name, with their lines.
    pub constraints: Vec<(String, u64)>,
    /// Seconds without input.
    pub idle: Option<u64>,
    /// Seconds in any case.
    pub session: Option<u64>,
    /// Line of a setting that seems to be about the redirection of devices.
    pub redirection: Option<u64>,
    /// Other settings of its profile that a reply would carry, by name, with their lines.
    pub others: Vec<(String, u64)>,
}

/// Whether NPS takes connections without a credential by this policy.
const UNAUTHENTICATED: i64 = 7;

impl Policy {
    /// Whether it is meant for an RD Gateway.
    pub fn is_gateways(&self) -> bool {
        self.source == 1
            || self.source == 0 && self.takes_unauthenticated()
            || self.conditions.iter().any(|(text, _)| text.contains("UserAuthType:"))
    }

    /// Whether NPS looks at it for what a gateway asks, meant or not.
    pub fn is_looked_at(&self) -> bool {
        matches!(self.source, 0 | 1)
    }

    /// Whether it takes a connection whose credential somebody else has checked, as every gateway's is.
    pub fn takes_unauthenticated(&self) -> bool {
        self.authentication.contains(&UNAUTHENTICATED)
    }
}

/// Reads an export.
///
/// # Errors
/// Why it is none, without any of its text.
pub fn read(text: &str) -> Result<Export, String> {
    let root = tree::read(text.trim_start_matches('\u{feff}'))?;
    let service = root.at(&SERVICE).and_then(|service| service.child("Children"));
    let Some(service) = service else { return Err("is XML, but no export of an NPS".to_owned()) };
    let clients = ["Protocols", "Children", "Microsoft_Radius_Protocol", "Children", "Clients"];
    let profiles = objects(service.child("RadiusProfiles"));
    let mut policies: Vec<Policy> =
        objects(service.child("NetworkPolicy")).iter().map(|node| policy(node, profiles)).collect();
    policies.sort_by_key(|policy| policy.sequence);
    let profiles = objects(service.child("Proxy_Profiles"));
    let mut requests: Vec<Request> =
        objects(service.child("Proxy_Policies")).iter().map(|node| request(node, profiles)).collect();
    requests.sort_by_key(|request| request.sequence);
    let groups = objects(service.child("RADIUS_Server_Groups")).iter();
    Ok(Export {
        clients: objects(service.at(&clients)).iter().map(client).collect(),
        policies,
        groups: groups.map(|node| (node.called().to_owned(), node.line)).collect(),
        requests,
    })
}

/// The objects of a folder.
fn objects(folder: Option<&Node>) -> &[Node] {
    folder.and_then(|folder| folder.child("Children")).map_or(&[], |children| &children.children)
}

fn values<'a>(node: &'a Node, property: &'a str) -> impl Iterator<Item = &'a Node> {
    let all = node.child("Properties").map_or(&[][..], |properties| &properties.children);
    all.iter().filter(move |one| one.tag == property)
}

fn value<'a>(node: &'a Node, property: &'a str) -> Option<&'a str> {
    values(node, property).next().map(Node::text).filter(|text| !text.is_empty())
}

fn number(node: &Node, property: &str) -> Option<i64> {
    value(node, property)?.parse().ok()
}

/// `1` and `-1` are yes.
fn is_set(node: &Node, property: &str) -> bool {
    number(node, property).is_some_and(|number| number != 0)
}

fn client(node: &Node) -> Client {
    Client {
        name: node.called().to_owned(),
        line: node.line,
        address: value(node, "IP_Address").unwrap_or_default().to_owned(),
        secret: value(node, "Shared_Secret").map(|secret| Secret::new(secret.as_bytes().to_vec())),
        trimmed: values(node, "Shared_Secret").any(Node::has_blanks),
        signs: is_set(node, "Require_Signature"),
        enabled: number(node, "Radius_Client_Enabled") != Some(0),
    }
}

/// Where a connection request policy's profile says that a request goes to a server group.
const FORWARDS: i64 = 2;

fn request(node: &Node, profiles: &[Node]) -> Request {
    let profile = profile_of(node, profiles);
    let forwards = profile.is_some_and(|profile| number(profile, "msAuthProviderType") == Some(FORWARDS));
    let group = profile.filter(|_| forwards).and_then(|profile| value(profile, "msAuthProviderName"));
    Request {
        name: node.called().to_owned(),
        line: node.line,
        sequence: number(node, "msNPSequence").unwrap_or(i64::MAX),
        enabled: number(node, "Policy_Enabled") != Some(0),
        conditions: conditions(node),
        group: group.map(str::to_owned),
    }
}

/// The profile that belongs to a policy.
fn profile_of<'a>(policy: &Node, profiles: &'a [Node]) -> Option<&'a Node> {
    let action = value(policy, "msNPAction").unwrap_or_else(|| policy.called());
    profiles.iter().find(|profile| profile.called() == action)
}

fn conditions(policy: &Node) -> Vec<(String, u64)> {
    values(policy, "msNPConstraint").map(|one| (one.text().to_owned(), one.line)).collect()
}

/// Settings that are understood, or that say nothing to a gateway.
const KNOWN: [&str; 20] = [
    "IP_Filter_Template_Guid",
    "Opaque_Data",
    "Template_Guid",
    "msIgnoreUserDialinProperties",
    "msNPAllowDialin",
    "msNPAuthenticationType2",
    "msRADIUSFramedProtocol",
    "msRADIUSServiceType",
    "msRADIUSIdleTimeout",
    "msRADIUSSessionTimeout",
    "msNPAllowedEapType",
    "msNPAllowedPortTypes",
    "msNPCalledStationId",
    "msNPCallingStationId",
    "msNPTimeOfDay",
    // Multilink and the encryption of dial-up and VPN connections, which every profile of the wizard has.
    "msRASBapLinednLimit",
    "msRASBapLinednTime",
    "msRASMPPEEncryptionPolicy",
    "msRASMPPEEncryptionType",
    "Description",
];

fn policy(node: &Node, profiles: &[Node]) -> Policy {
    let profile = profile_of(node, profiles);
    let of = |property: &str| profile.and_then(|profile| number(profile, property));
    let settings = profile.and_then(|profile| profile.child("Properties"));
    let settings = settings.map_or(&[][..], |properties| &properties.children);
    let is_redirection = |node: &&Node| {
        let tag = node.tag.to_lowercase();
        // MS-RDG-Device-Redirection (63) of vendor 311, octets in hexadecimal.
        let is_sent = tag == "msradiusanyvsa" && node.text().to_lowercase().contains("000001373f");
        is_sent || ["redirect", "tsg", "rdg"].iter().any(|part| tag.contains(part))
    };
    let others = settings.iter().filter(|one| !KNOWN.contains(&one.tag.as_str()) && !is_redirection(one));
    let all = |property: &str| {
        let found = profile.map(|profile| values(profile, property).map(|one| (one.text().to_owned(), one.line)));
        found.into_iter().flatten().filter(|(text, _)| !text.is_empty()).collect::<Vec<_>>()
    };
    let ports = all("msNPAllowedPortTypes");
    let constraints = ["msNPCalledStationId", "msNPCallingStationId"]
        .into_iter()
        .flat_map(|name| all(name).into_iter().map(move |(_, line)| (name.to_owned(), line)))
        // Every gateway's port is 5, Virtual.
        .chain(
            ports
                .first()
                .filter(|_| ports.iter().all(|(port, _)| port != "5"))
                .map(|(_, line)| ("msNPAllowedPortTypes".to_owned(), *line)),
        );
    let seconds = |property: &str| of(property).and_then(|seconds| u64::try_from(seconds).ok()).filter(|it| *it > 0);
    Policy {
        name: node.called().to_owned(),
        line: node.line,
        sequence: number(node, "msNPSequence").unwrap_or(i64::MAX),
        enabled: number(node, "Policy_Enabled") != Some(0),
        source: number(node, "Policy_SourceTag").unwrap_or_default(),
        conditions: conditions(node),
        // A policy without its profile grants nothing.
        grants: of("msNPAllowDialin").is_some_and(|allow| allow != 0),
        authentication: profile
            .map(|profile| {
                values(profile, "msNPAuthenticationType2").filter_map(|one| one.text().parse().ok()).collect()
            })
            .unwrap_or_default(),
        ignores_dial_in: of("msIgnoreUserDialinProperties").is_some_and(|ignores| ignores != 0),
        times: all("msNPTimeOfDay"),
        constraints: constraints.collect(),
        idle: seconds("msRADIUSIdleTimeout"),
        session: seconds("msRADIUSSessionTimeout"),
        redirection: settings.iter().find(is_redirection).map(|one| one.line),
        others: others.map(|one| (one.tag.clone(), one.line)).collect(),
    }
}

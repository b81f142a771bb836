//! Reads everybody once, in pages, to nowhere: what a directory needs to be read, whoever reads it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use serde_json::{Value, json};

use crate::ldap::{self, tag};

/// Room for one read.
const ROOM: usize = 256 * 1024;

/// What to read.
pub struct Plan {
    /// Whom to ask.
    pub server: SocketAddr,
    /// Where people are.
    pub base: String,
    /// Their class.
    pub class: String,
    /// The attributes that are asked for.
    pub attributes: Vec<String>,
    /// Who binds.
    pub name: String,
    /// With which password.
    pub password: String,
    /// Entries of one page.
    pub page: u32,
}

/// Reads, and tells how many came, how many octets, and how long it took from the first request on.
pub fn run(plan: &Plan) -> io::Result<Value> {
    let mut stream = TcpStream::connect(plan.server)?;
    stream.set_nodelay(true)?;
    let attributes: Vec<&str> = plan.attributes.iter().map(String::as_str).collect();
    let filter = ldap::equal("objectClass", &plan.class);
    let (mut input, mut room) = (Vec::new(), vec![0; ROOM]);
    let (mut entries, mut octets, mut id) = (0_u64, 0, 1);
    let began = Instant::now();
    stream.write_all(&ldap::bind(id, &plan.name, &plan.password))?;
    loop {
        let mut consumed = 0;
        while let Some(answer) = ldap::answer(input.get(consumed..).unwrap_or_default()) {
            consumed += answer.length;
            match answer.tag {
                tag::ENTRY => entries += 1,
                tag::BOUND | tag::DONE if answer.code != 0 => {
                    return Err(io::Error::other(format!("the directory ends with code {}", answer.code)));
                }
                tag::BOUND | tag::DONE => {
                    let cookie = if answer.tag == tag::BOUND { Some(Vec::new()) } else { answer.cookie() };
                    let first = answer.tag == tag::BOUND;
                    let Some(cookie) = cookie.filter(|cookie| first || !cookie.is_empty()) else {
                        let seconds = began.elapsed().as_secs_f64();
                        return Ok(json!({ "entries": entries, "octets": octets, "seconds": seconds }));
                    };
                    id += 1;
                    stream.write_all(&ldap::page_of(id, &plan.base, plan.page, &cookie, &filter, &attributes))?;
                }
                _ => {}
            }
        }
        input.drain(..consumed);
        let length = stream.read(&mut room)?;
        if length == 0 {
            return Err(io::Error::other("the directory has hung up"));
        }
        octets += length;
        input.extend_from_slice(room.get(..length).unwrap_or_default());
    }
}

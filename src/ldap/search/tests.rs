use super::*;
use crate::ldap::filter::Filter;
use crate::ldap::message::Envelope;

#[test]
fn a_request_is_read_back_as_it_was_written() {
    let filter = Filter::parse("(&(cn=a)(!(b=*)))").unwrap();
    let encoded = filter.encode();
    let request = SearchRequest {
        base: "DC=example",
        scope: Scope::Subtree,
        size_limit: 2,
        time_limit: Duration::from_millis(1500),
        filter: &encoded,
        attributes: &["cn", "objectGUID"],
    };
    let mut frame = Vec::new();
    request.write(&mut frame, 9);
    let envelope = Envelope::read(&frame).unwrap();
    assert_eq!((envelope.message_id, envelope.op_tag), (9, op::SEARCH_REQUEST));
    let read = ReceivedSearch::read(envelope.operation(&frame)).unwrap();
    assert_eq!((read.base, read.scope, read.size_limit, read.time_limit), ("DC=example", Scope::Subtree, 2, 2));
    assert_eq!(Filter::read(&mut { read.filter }), Ok(filter));
    assert_eq!(read.attributes().collect::<Vec<_>>(), ["cn", "objectGUID"]);
}

#[test]
fn an_entry_is_read_back_as_it_was_written() {
    let guid: Vec<u8> = (0..16).collect();
    let mut frame = Vec::new();
    let members = [b"a".to_vec(), b"b".to_vec()];
    let attributes: [(&str, &[Vec<u8>]); 3] =
        [("objectGUID", std::slice::from_ref(&guid)), ("member;range=0-1", &members), ("empty", &[])];
    write_entry(&mut frame, 3, "CN=x", attributes);
    let envelope = Envelope::read(&frame).unwrap();
    let entry = Entry::read(envelope.operation(&frame)).unwrap();
    assert_eq!(entry.dn, "CN=x");
    assert_eq!(entry.first("OBJECTguid"), Some(guid.as_slice()));
    assert_eq!(entry.first_text("objectGUID").map(str::len), Some(16));
    assert_eq!(entry.first("empty"), None);
    assert_eq!(entry.first("absent"), None);
    let (end, values) = entry.ranged("MEMBER").unwrap();
    assert_eq!((end, values.count()), (Some(1), 2));
    assert!(entry.ranged("objectGUID").is_none());
}

#[test]
fn an_entry_with_a_broken_value_is_refused_as_a_whole() {
    let mut frame = Vec::new();
    let attributes: [(&str, &[&[u8]]); 1] = [("cn", &[b"value"])];
    write_entry(&mut frame, 3, "CN=x", attributes);
    let at = frame.len() - 7;
    assert_eq!(frame[at], OCTET_STRING);
    frame[at] = 0x05;
    let envelope = Envelope::read(&frame).unwrap();
    assert!(Entry::read(envelope.operation(&frame)).is_err());
}

//! Octets from a peer, framed as they arrive: nothing panics, nothing is read twice or beyond the limit, and
//! what was accepted can be walked to the bottom.

#![no_main]

use anteroom::ldap::ber::{CONSTRUCTED, Reader};
use anteroom::ldap::bind::BindRequest;
use anteroom::ldap::filter::Filter;
use anteroom::ldap::message::{Envelope, MAX_DEPTH, next_frame, op, write_message};
use anteroom::ldap::result::read_extended_request;
use anteroom::ldap::search::ReceivedSearch;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    // The first octet says in which pieces the rest arrives.
    let Some((&piece, stream)) = data.split_first() else { return };
    let mut buffer = BytesMut::new();
    for piece in stream.chunks(usize::from(piece).max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            let before = buffer.len();
            match next_frame(&mut buffer, LIMIT) {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= LIMIT && frame.len() + buffer.len() == before);
                    walk(Reader::new(&frame), MAX_DEPTH);
                    understand(&frame);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});

fn walk(mut reader: Reader<'_>, depth: usize) {
    while !reader.is_empty() {
        let element = reader.next().expect("validated");
        if element.tag & CONSTRUCTED != 0 {
            walk(element.inside(), depth.checked_sub(1).expect("validated"));
        }
    }
}

fn understand(frame: &[u8]) {
    let Ok(envelope) = Envelope::read(frame) else { return };
    let mut again = Vec::new();
    write_message(&mut again, envelope.message_id, |message| message.raw(&frame[envelope.tail.clone()]));
    let second = Envelope::read(&again).expect("a message with the same tail");
    assert_eq!(&again[second.tail], &frame[envelope.tail.clone()]);
    let operation = envelope.operation(frame);
    match envelope.op_tag {
        op::BIND_REQUEST => drop(BindRequest::read(operation).map(|request| format!("{request:?}"))),
        op::SEARCH_REQUEST => {
            if let Ok(search) = ReceivedSearch::read(operation) {
                search.attributes().for_each(drop);
                if let Ok(filter) = Filter::read(&mut { search.filter }) {
                    let encoded = filter.encode();
                    assert_eq!(Filter::read(&mut Reader::new(&encoded)), Ok(filter));
                }
            }
        }
        op::EXTENDED_REQUEST => drop(read_extended_request(operation)),
        _ => {}
    }
}

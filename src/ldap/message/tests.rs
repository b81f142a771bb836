use proptest::prelude::*;

use super::*;
use crate::ldap::bind::{write_bind_request, write_bind_response};
use crate::ldap::result::{write_abandon, write_extended_request, write_unbind};

fn frame_of(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).value(SEQUENCE, body);
    out
}

/// The validator as one would write it without a thought for speed or the stack.
fn well_formed(bytes: &[u8], depth: usize) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Ok(Some(header)) = Header::read(rest) else { return false };
        let Some(inside) = rest.get(header.octets..header.octets + header.length) else { return false };
        if header.tag & CONSTRUCTED != 0 && (depth == 0 || !well_formed(inside, depth - 1)) {
            return false;
        }
        rest = &rest[header.octets + header.length..];
    }
    true
}

#[test]
fn a_message_is_taken_once_it_is_whole() {
    let mut whole = Vec::new();
    write_bind_request(&mut whole, 1, b"cn=x", b"pw");
    write_unbind(&mut whole, 2);
    let unbind = whole.len() - 7;
    let mut buffer = BytesMut::new();
    for (index, octet) in whole.iter().enumerate() {
        buffer.extend_from_slice(&[*octet]);
        let frame = next_frame(&mut buffer, 100).unwrap();
        match index {
            _ if index + 1 == unbind => assert_eq!(frame.as_deref(), Some(&whole[..unbind])),
            _ if index + 1 == whole.len() => assert_eq!(frame.as_deref(), Some(&whole[unbind..])),
            _ => assert_eq!(frame, None),
        }
    }
    assert!(buffer.is_empty());
}

#[test]
fn a_message_that_is_too_long_is_refused_on_its_header() {
    let limit = 1000;
    let refused = |bytes: &[u8]| frame_length(bytes, limit);
    assert_eq!(refused(b"\x30\x84\x7f\xff\xff\xff"), Err(FrameError::TooLong { length: 0x8000_0005, limit }));
    assert_eq!(refused(b"\x30\x84\xff\xff\xff\xff"), Err(FrameError::TooLong { length: 0x1_0000_0005, limit }));
    assert_eq!(refused(b"\x30\x82\x03\xe5"), Err(FrameError::TooLong { length: 1001, limit }));
    assert_eq!(refused(b"\x30\x82\x03\xe4"), Ok(None));
    assert_eq!(refused(b"\x30\x84"), Ok(None));
}

#[test]
fn lengths_longer_than_needed_are_accepted_as_active_directory_writes_them() {
    let frame = b"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x61\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00";
    assert_eq!(frame_length(frame, 100), Ok(Some(frame.len())));
    let envelope = Envelope::read(frame).unwrap();
    assert_eq!((envelope.message_id, envelope.op_tag, envelope.op), (1, op::BIND_RESPONSE, 15..22));
}

#[test]
fn nesting_is_accepted_up_to_the_limit_and_not_beyond() {
    let nested = |levels: usize| (0..levels).fold(Vec::new(), |inside, _| frame_of(&inside));
    let frame = nested(MAX_DEPTH);
    assert_eq!(frame_length(&frame, 1 << 20), Ok(Some(frame.len())));
    assert_eq!(frame_length(&nested(MAX_DEPTH + 1), 1 << 20), Err(FrameError::TooDeep));
    assert_eq!(frame_length(&nested(10_000), 1 << 20), Err(FrameError::TooDeep));
}

#[test]
fn each_bad_frame_of_the_list_is_refused_for_its_reason() {
    let list = include_str!("../../../tests/vectors/bad-ldap-frames.txt");
    let mut checked = 0;
    for line in list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (hex, reason) = line.split_once("=>").expect("octets => reason");
        let octets: Vec<u8> =
            hex.split_whitespace().map(|octet| u8::from_str_radix(octet, 16).expect("an octet")).collect();
        let found = match frame_length(&octets, SMALL_FRAME) {
            Err(error) => error.to_string(),
            Ok(None) => panic!("still waiting for more: {line}"),
            Ok(Some(length)) => match Envelope::read(&octets[..length]) {
                Err(error) => format!("envelope: {error}"),
                Ok(envelope) => panic!("accepted as {envelope:?}: {line}"),
            },
        };
        assert_eq!(found, reason.trim(), "{line}");
        checked += 1;
    }
    assert!(checked >= 25, "only {checked} lines");
}

#[test]
fn controls_are_found_and_the_tail_is_all_but_the_message_id() {
    let mut frame = Vec::new();
    write_message(&mut frame, 5, |message| {
        message.value(op::DELETE_REQUEST, b"cn=x");
        message.constructed(CONTROLS, |controls| controls.constructed(SEQUENCE, |control| control.octets(b"1.2")));
    });
    let envelope = Envelope::read(&frame).unwrap();
    assert_eq!(&frame[envelope.op.clone()], b"cn=x");
    assert_eq!(&frame[envelope.controls.clone().unwrap()], b"\x30\x05\x04\x031.2");
    let mut renumbered = Vec::new();
    write_message(&mut renumbered, 70_000, |message| message.raw(&frame[envelope.tail.clone()]));
    let again = Envelope::read(&renumbered).unwrap();
    assert_eq!(again.message_id, 70_000);
    assert_eq!(renumbered[again.tail], frame[envelope.tail]);
}

#[test]
fn requests_are_written_as_the_standard_has_them() {
    let mut out = Vec::new();
    write_abandon(&mut out, 6, 5);
    assert_eq!(out, b"\x30\x06\x02\x01\x06\x50\x01\x05");
    out.clear();
    write_unbind(&mut out, 128);
    assert_eq!(out, b"\x30\x06\x02\x02\x00\x80\x42\x00");
    out.clear();
    write_extended_request(&mut out, 1, "1.3.6.1.4.1.1466.20037", None);
    assert_eq!(out, b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037");
}

#[test]
fn long_contents_get_long_lengths() {
    for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 20_000_000] {
        let content = vec![7; length];
        let (mut plain, mut nested) = (Vec::new(), Vec::new());
        Writer::new(&mut plain).octets(&content);
        Writer::new(&mut nested).constructed(4, |inside| inside.raw(&content));
        assert_eq!(plain, nested);
        let header = Header::read(&plain).unwrap().unwrap();
        assert_eq!(header.length, length);
        assert_eq!(Reader::new(&plain).value(4).map(<[u8]>::len), Ok(length));
    }
}

/// Octets that look like BER often enough to get past the first header.
fn ber_like() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        4 => prop::sample::select(vec![0x30, 0x31, 0x02, 0x04, 0x0a, 0x60, 0x61, 0x78, 0x80, 0xa0, 0xa3, 0x1f, 0x3f]),
        4 => 0_u8..12,
        1 => prop::sample::select(vec![0x80_u8, 0x81, 0x82, 0x84, 0x85, 0xff]),
        1 => any::<u8>(),
    ];
    proptest::collection::vec(octet, 0..80).prop_map(|bytes| frame_of(&bytes))
}

proptest! {
    #[test]
    fn the_validator_agrees_with_a_slow_one(frame in ber_like()) {
        let fast = frame_length(&frame, 1 << 20);
        prop_assert_eq!(matches!(fast, Ok(Some(_))), well_formed(&frame, MAX_DEPTH), "{:?}", fast);
    }

    #[test]
    fn what_was_validated_can_be_walked(frame in ber_like()) {
        if let Ok(Some(length)) = frame_length(&frame, 1 << 20) {
            prop_assert_eq!(length, frame.len());
            let mut stack = vec![Reader::new(&frame)];
            while let Some(mut reader) = stack.pop() {
                while !reader.is_empty() {
                    let element = reader.next().expect("validated");
                    if element.tag & CONSTRUCTED != 0 {
                        stack.push(element.inside());
                    }
                }
            }
        }
    }

    #[test]
    fn no_octets_panic_or_are_read_twice(bytes in proptest::collection::vec(any::<u8>(), 0..200), limit in 0_usize..300) {
        let mut buffer = BytesMut::from(bytes.as_slice());
        let before = buffer.len();
        match next_frame(&mut buffer, limit) {
            Ok(Some(frame)) => {
                prop_assert!(frame.len() <= limit);
                prop_assert_eq!(frame.len() + buffer.len(), before);
            }
            Ok(None) | Err(_) => prop_assert_eq!(buffer.len(), before),
        }
        let _ = Envelope::read(&bytes);
    }

    #[test]
    fn a_verdict_does_not_change_when_more_octets_arrive(frame in ber_like(), extra in proptest::collection::vec(any::<u8>(), 0..20)) {
        let whole = frame_length(&frame, 1 << 20);
        for cut in 0..frame.len() {
            match frame_length(&frame[..cut], 1 << 20) {
                Ok(None) => {}
                early => prop_assert_eq!(early, whole),
            }
        }
        let mut longer = frame.clone();
        longer.extend(extra);
        prop_assert_eq!(frame_length(&longer, 1 << 20), whole);
    }

    #[test]
    fn numbers_are_read_back(number in 0_u32..0x8000_0000) {
        let mut out = Vec::new();
        Writer::new(&mut out).number(INTEGER, number);
        prop_assert_eq!(Reader::new(&out).number(INTEGER), Ok(number));
    }

    #[test]
    fn an_independent_decoder_reads_what_we_write(
        id in 1_u32..0x8000_0000, name in proptest::collection::vec(any::<u8>(), 0..300), code in 0_u32..200,
    ) {
        let mut request = Vec::new();
        write_bind_request(&mut request, id, &name, b"pw");
        let tag = peer(&request);
        let parts = tag.expect_constructed().expect("a sequence");
        prop_assert_eq!(lber::parse::parse_uint(&parts[0].clone().expect_primitive().unwrap()).unwrap().1, u64::from(id));
        prop_assert_eq!((parts[1].class, parts[1].id), (lber::common::TagClass::Application, 0));
        let bind = parts[1].clone().expect_constructed().unwrap();
        prop_assert_eq!(bind[1].clone().expect_primitive().unwrap(), name);
        let mut response = Vec::new();
        write_bind_response(&mut response, id, code, "text");
        let parts = peer(&response).expect_constructed().unwrap();
        prop_assert_eq!((parts[1].class, parts[1].id), (lber::common::TagClass::Application, 1));
    }

    #[test]
    fn the_head_of_what_an_independent_encoder_writes_is_read_right_at_every_prefix(
        id in 0_u32..0x8000_0000, operation in 0_u64..31, content in proptest::collection::vec(any::<u8>(), 0..300),
        behind in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let frame = peers_message(id, operation, content);
        let wanted = Head {
            message_id: id,
            op_tag: 0x40 | u8::try_from(operation).unwrap(),
            length: frame.len(),
            start: if frame.len() < 130 { 2 } else if frame.len() < 259 { 3 } else { 4 },
        };
        let mut stream = frame.clone();
        stream.extend_from_slice(&behind);
        let mut known = false;
        for end in 0..=stream.len() {
            match Head::read(&stream[..end], usize::MAX) {
                Ok(Some(head)) => {
                    prop_assert_eq!(head, wanted);
                    known = true;
                }
                other => prop_assert!(!known && other == Ok(None) && end < frame.len(), "{other:?} after {end} octets"),
            }
        }
        prop_assert!(known);
    }

    /// Whatever both of us take for a message, we take for the same message: nobody can show the directory another
    /// request than the one that was judged.
    #[test]
    fn a_spoiled_frame_is_the_same_message_to_an_independent_decoder(
        id in 0_u32..0x8000_0000, operation in 0_u64..31, content in proptest::collection::vec(any::<u8>(), 0..40),
        at in any::<prop::sample::Index>(), octet in any::<u8>(),
    ) {
        let mut frame = peers_message(id, operation, content);
        let at = at.index(frame.len());
        frame[at] = octet;
        let Ok(Some(head)) = Head::read(&frame, usize::MAX) else { return Ok(()) };
        if check(frame.get(..head.length).unwrap_or_default(), &head, MAX_DEPTH).is_err() || head.length > frame.len() {
            return Ok(());
        }
        let Ok((rest, tag)) = lber::parse::parse_tag(&frame) else { return Ok(()) };
        prop_assert_eq!(frame.len() - rest.len(), head.length);
        let Some(parts) = tag.expect_constructed() else { return Ok(()) };
        let Some(number) = parts[0].clone().expect_primitive() else { return Ok(()) };
        if number.len() <= 4 {
            prop_assert_eq!(lber::parse::parse_uint(&number).unwrap().1, u64::from(head.message_id));
        }
        // the number of a tag in several octets is not in the first
        if let Some(operation) = parts.get(1).filter(|_| head.op_tag & 0x1f != 0x1f) {
            prop_assert_eq!(operation.id, u64::from(head.op_tag & 0x1f));
            prop_assert_eq!(operation.class as u8, head.op_tag >> 6);
        }
    }
}

/// A message as `lber` writes it: its operation is primitive, with this number and content.
fn peers_message(id: u32, operation: u64, content: Vec<u8>) -> Vec<u8> {
    use lber::common::TagClass;
    use lber::structure::{PL, StructureTag};
    use lber::structures::{ASNTag, Integer, Sequence, Tag};
    let operation = StructureTag { id: operation, class: TagClass::Application, payload: PL::P(content) };
    let id = Tag::Integer(Integer { inner: i64::from(id), ..Integer::default() });
    let message = Sequence { inner: vec![id, Tag::StructureTag(operation)], ..Sequence::default() };
    let mut out = bytes::BytesMut::new();
    lber::write::encode_into(&mut out, message.into_structure()).expect("it fits");
    out.to_vec()
}

/// What `lber`, which knows nothing of us, makes of a frame.
fn peer(frame: &[u8]) -> lber::structure::StructureTag {
    let (rest, tag) = lber::parse::parse_tag(frame).expect("lber reads it");
    assert!(rest.is_empty(), "lber leaves octets");
    tag
}

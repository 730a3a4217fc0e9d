use bson::rawdoc;
use futures::FutureExt;

use super::*;
use crate::budget::Budget;
use crate::command::{Command, Outcome};
use crate::hello;

fn room() -> Room {
    Budget::new(256 << 20).answers
}

fn header(length: i32) -> [u8; HEADER] {
    framed(1, 2, OP_MSG, &[])
        .get(4..)
        .map(|rest| [&length.to_le_bytes()[..], rest].concat())
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap()
}

#[tokio::test]
async fn a_claimed_length_costs_no_memory() {
    for length in [i32::MAX, -1, 0, 15, 48_016_385] {
        assert!(matches!(
            Header::parse(&header(length)),
            Err(Error::Length(_))
        ));
    }
    let mut bytes = header(48_000_000).to_vec();
    bytes.extend([0; 8]);
    let read = Frame::read(&mut bytes.as_slice(), &room()).await;
    assert!(matches!(read, Err(Error::Short)));
}

#[test]
fn sections_may_come_in_any_order() {
    let body = rawdoc! { "insert": "orders", "$db": "shop", "txnNumber": 7_i64 };
    let sequence = [&[1, 13, 0, 0, 0][..], b"documen\0".as_slice(), &[0][..]].concat();
    let plain = [&[0][..], body.as_bytes()].concat();
    let flags = CHECKSUM_PRESENT.to_le_bytes();
    let payload = [&flags[..], &sequence, &plain, &sequence, &[1, 2, 3, 4]].concat();
    let message = Message::parse(&payload).unwrap();
    let command = Command::of(message.body).unwrap();
    assert_eq!((command.name, command.txn_number), ("insert", Some(7)));

    let twice = [&0_u32.to_le_bytes()[..], &plain, &plain].concat();
    assert!(matches!(Message::parse(&twice), Err(Error::Body)));
    let unknown = [&0_u32.to_le_bytes()[..], &plain, &[2]].concat();
    assert!(matches!(Message::parse(&unknown), Err(Error::Section(2))));
    assert!(matches!(Message::parse(&[0, 0, 0, 0]), Err(Error::Body)));
}

/// Well-formed traffic, to be spoilt: requests and answers of each kind that the proxy looks into.
fn corpus() -> Vec<Vec<u8>> {
    let set = rawdoc! {
        "setName": "rs0", "hosts": ["a:1", "b:2"], "passives": ["c:3"], "arbiters": ["d:4"],
        "me": "a:1", "primary": "b:2", "topologyVersion": { "counter": 7_i64 }, "ok": 1.0,
    };
    let router = rawdoc! { "msg": "isdbgrid", "isWritablePrimary": true, "ok": 1.0 };
    let refused = rawdoc! { "ok": 0.0, "code": 13, "errmsg": "requires authentication" };
    let cursor = rawdoc! { "cursor": { "id": 7_i64, "firstBatch": [] }, "ok": 1.0 };
    let hello = rawdoc! {
        "hello": 1, "client": { "driver": { "name": "x" }, "os": { "type": "y" } },
        "speculativeAuthenticate": { "saslStart": 1 }, "saslSupportedMechs": "admin.x",
        "compression": ["snappy"], "topologyVersion": { "counter": 7_i64 },
        "maxAwaitTimeMS": 10_000, "$db": "admin",
    };
    let write = rawdoc! {
        "insert": "orders", "lsid": { "id": "y" }, "txnNumber": 7_i64, "autocommit": false,
        "startTransaction": true, "$db": "shop",
    };
    let more = rawdoc! { "getMore": 7_i64, "collection": "orders", "$db": "shop" };
    let kill = rawdoc! { "killCursors": "orders", "cursors": [7_i64, 8_i64], "$db": "shop" };
    let sections = [
        &0_u32.to_le_bytes()[..],
        &[1, 13, 0, 0, 0],
        b"documen\0",
        &[0],
        write.as_bytes(),
    ];
    let query = [
        &[0; 4],
        b"admin.$cmd\0".as_slice(),
        &[0; 8],
        hello.as_bytes(),
    ];
    let messages = [
        &set, &router, &refused, &cursor, &hello, &write, &more, &kill,
    ];
    let flags = [0, CHECKSUM_PRESENT, MORE_TO_COME, EXHAUST_ALLOWED];
    let messages = messages.into_iter().zip(flags.into_iter().cycle());
    let mut all: Vec<_> = messages
        .map(|(body, flags)| encode_message(1, 0, flags, body))
        .collect();
    all.push(framed(1, 0, OP_MSG, &sections.concat()));
    all.push(framed(1, 0, OP_QUERY, &query.concat()));
    // Compressed, as nobody was told that it may be.
    all.push(framed(
        1,
        0,
        2012,
        &[221, 7, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0],
    ));
    all
}

/// A million frames, each spoilt in up to five places: no panic, and what comes through is whole.
#[test]
fn no_bytes_make_the_parsers_panic() {
    let corpus = corpus();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    let room = room();
    for _ in 0..1_000_000 {
        let mut bytes = corpus[random(corpus.len())].clone();
        for _ in 0..=random(4) {
            let place = random(bytes.len());
            match random(4) {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, u8::try_from(random(256)).unwrap()),
                _ if bytes.is_empty() => {}
                _ => bytes[place] = u8::try_from(random(256)).unwrap(),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let mut reader = bytes.as_slice();
        if let Some(Ok(frame)) = Frame::read(&mut reader, &room).now_or_never() {
            assert_eq!(frame.bytes.len(), frame.header.length);
            assert!(frame.bytes.capacity() <= 2 * bytes.len().max(64 * 1024));
        }
        let payload = bytes.get(HEADER..).unwrap_or_default();
        if let Ok(message) = Message::parse(payload) {
            digest(message.body);
        }
        if let Ok(query) = Query::parse(payload) {
            digest(query.body);
        }
    }
}

fn digest(body: &bson::RawDocument) {
    let _ = Command::of(body).map(|command| command.killed());
    let _ = Outcome::of(body);
    let _ = hello::role(body);
    if let Ok(request) = hello::request(body) {
        assert!(request.get("compression").ok().flatten().is_none());
        assert!(request.iter().all(|element| element.is_ok()));
    }
    let members = hello::members(body);
    if let Ok(answer) = hello::answer(body, |_| Some("here".to_owned())) {
        let left = hello::members(&answer);
        assert!(left.iter().all(|member| member == "here"), "{members:?}");
    }
}

use bson::rawdoc;

use super::*;
use crate::command::{Command, Outcome};
use crate::hello;

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
    let read = Frame::read(&mut bytes.as_slice()).await;
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

#[test]
fn no_bytes_make_the_parsers_panic() {
    let answer = rawdoc! {
        "setName": "rs0", "hosts": ["a:1", "b:2"], "me": "a:1", "primary": "b:2", "ok": 1.0,
        "cursor": { "id": 7_i64, "firstBatch": [] },
    };
    let request = rawdoc! {
        "hello": 1, "client": { "driver": { "name": "x" } }, "lsid": { "id": "y" },
        "speculativeAuthenticate": { "saslStart": 1 }, "$db": "admin",
    };
    let corpus = [
        encode_message(1, 0, 0, &answer),
        encode_message(1, 0, CHECKSUM_PRESENT, &request),
        framed(
            1,
            0,
            OP_QUERY,
            &[
                &[0; 4],
                b"admin.$cmd\0".as_slice(),
                &[0; 8],
                request.as_bytes(),
            ]
            .concat(),
        ),
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    for _ in 0..200_000 {
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
    let _ = hello::request(body);
    let _ = hello::members(body);
    let _ = hello::answer(body, |host| Some(host.to_owned()));
}

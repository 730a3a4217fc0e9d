use bson::{Binary, raw::RawDocumentBuf, rawdoc, spec::BinarySubtype};

use super::*;

const OLD: u64 = 1;
const NEW: u64 = 2;

fn lsid(byte: u8) -> RawDocumentBuf {
    let id = Binary {
        subtype: BinarySubtype::Uuid,
        bytes: vec![byte; 16],
    };
    rawdoc! { "id": id }
}

struct Stage {
    affinity: Affinity,
    member: Arc<str>,
    now: Instant,
}

impl Stage {
    fn new() -> Self {
        Self {
            affinity: Affinity::default(),
            member: Arc::from("one:1"),
            now: Instant::now(),
        }
    }

    /// Where the command goes if `newest` is newest.
    fn send(&mut self, body: &RawDocumentBuf, answer: &RawDocumentBuf, newest: u64) -> u64 {
        let command = Command::of(body).unwrap();
        let route = self
            .affinity
            .route(Some(&self.member), &command)
            .unwrap_or(newest);
        self.affinity.sent(&command, route, self.now);
        let outcome = Outcome::of(answer).unwrap();
        self.affinity
            .answered(&self.member, &command, &outcome, route, self.now);
        route
    }
}

#[test]
fn a_cursor_stays_with_its_login_until_it_is_done() {
    let mut stage = Stage::new();
    let open = rawdoc! { "cursor": { "id": 7_i64 }, "ok": 1.0 };
    let done = rawdoc! { "cursor": { "id": 0_i64 }, "ok": 1.0 };
    let more = rawdoc! { "getMore": 7_i64, "collection": "orders" };
    assert_eq!(stage.send(&rawdoc! { "find": "orders" }, &open, OLD), OLD);
    assert_eq!(stage.send(&more, &open, NEW), OLD);
    assert!(stage.affinity.has_open_work(OLD, stage.now));
    assert_eq!(stage.send(&rawdoc! { "find": "orders" }, &done, NEW), NEW);
    assert_eq!(stage.send(&more, &done, NEW), OLD);
    assert!(!stage.affinity.has_open_work(OLD, stage.now));
    assert_eq!(stage.send(&more, &done, NEW), NEW);

    stage.send(&rawdoc! { "find": "orders" }, &open, OLD);
    let kill = rawdoc! { "killCursors": "orders", "cursors": [7_i64] };
    assert_eq!(stage.send(&kill, &rawdoc! { "ok": 1.0 }, NEW), OLD);
    assert_eq!(stage.send(&kill, &rawdoc! { "ok": 1.0 }, NEW), NEW);
}

#[test]
fn a_write_that_is_sent_again_goes_to_the_login_of_the_first_time() {
    let mut stage = Stage::new();
    let write = |number: i64| rawdoc! { "update": "orders", "lsid": lsid(1), "txnNumber": number };
    let ok = rawdoc! { "ok": 1.0 };
    assert_eq!(stage.send(&write(1), &ok, OLD), OLD);
    assert_eq!(stage.send(&write(1), &ok, NEW), OLD);
    assert_eq!(stage.send(&write(2), &ok, NEW), NEW);
    assert!(!stage.affinity.has_open_work(OLD, stage.now));
}

#[test]
fn a_transaction_stays_with_its_login_until_it_is_acknowledged() {
    let mut stage = Stage::new();
    let statement = |name: &str, starts: bool| {
        let mut body = RawDocumentBuf::new();
        let key = bson::raw::CString::try_from(name.to_owned()).unwrap();
        body.append(&key, 1);
        body.append(bson::raw::cstr!("lsid"), lsid(2));
        body.append(bson::raw::cstr!("txnNumber"), 3_i64);
        body.append(bson::raw::cstr!("autocommit"), false);
        body.append(bson::raw::cstr!("startTransaction"), starts);
        body
    };
    let ok = rawdoc! { "ok": 1.0 };
    let failed = rawdoc! { "ok": 0.0, "code": 91, "errmsg": "shutdown" };
    assert_eq!(stage.send(&statement("insert", true), &ok, OLD), OLD);
    assert_eq!(stage.send(&statement("insert", false), &ok, NEW), OLD);
    assert_eq!(
        stage.send(&statement("commitTransaction", false), &failed, NEW),
        OLD
    );
    assert_eq!(
        stage.send(&statement("commitTransaction", false), &ok, NEW),
        OLD
    );
    assert!(!stage.affinity.has_open_work(OLD, stage.now));
    // Under the other login the driver would be told that there was no such transaction, and it
    // would do all of it again.
    assert_eq!(
        stage.send(&statement("commitTransaction", false), &ok, NEW),
        OLD
    );
    assert_eq!(stage.send(&statement("insert", true), &ok, NEW), NEW);
}

#[test]
fn the_number_of_entries_is_bounded() {
    let mut pins = Pins::new(WRITE_AGE);
    let now = Instant::now();
    for number in 0..250_000_u64 {
        pins.set(number, OLD, now + Duration::from_nanos(number));
    }
    assert!(pins.pins.len() <= CAPACITY);
    assert_eq!(pins.counts.get(&OLD), Some(&pins.pins.len()));
    assert_eq!(pins.get(&249_999), Some(OLD));
    pins.expire(now + WRITE_AGE * 2);
    assert!(pins.pins.is_empty() && !pins.names(OLD));
}

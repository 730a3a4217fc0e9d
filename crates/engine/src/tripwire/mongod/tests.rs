//! Lines as mongod writes them, and as nobody should.

use proptest::prelude::*;

use super::*;

/// Of mongod 6.0.5, shortened.
const WRONG: &str = r#"{"t":{"$date":"2026-11-30T17:19:44.281+00:00"},"s":"I",  "c":"ACCESS",   "id":20249,   "ctx":"conn9","msg":"Authentication failed","attr":{"mechanism":"SCRAM-SHA-256","speculative":true,"principalName":"clerk_a","authenticationDatabase":"dbclaims","remote":"10.0.0.7:43212","extraInfo":{},"error":"AuthenticationFailed: SCRAM authentication failed, storedKey mismatch"}}"#;

/// Of later ones.
const LATER: &str = r#"{"t":{"$date":"2026-11-30T17:19:45.281+00:00"},"s":"I",  "c":"ACCESS",   "id":5286307, "svc":"S", "ctx":"conn9","msg":"Failed to authenticate","attr":{"client":"[::1]:43212","isSpeculative":false,"isClusterMember":false,"mechanism":"SCRAM-SHA-256","user":"clerk_b","db":"desktop","error":"AuthenticationFailed: storedKey mismatch","result":18,"metrics":{},"extraInfo":{}}}"#;

const RIGHT: &str = r#"{"t":{"$date":"2026-11-30T17:19:46.942+00:00"},"s":"I",  "c":"ACCESS",   "id":20250,   "ctx":"conn5","msg":"Authentication succeeded","attr":{"mechanism":"SCRAM-SHA-256","principalName":"clerk_a","authenticationDatabase":"dbclaims","remote":"10.0.0.7:49980","extraInfo":{}}}"#;

fn told(line: &str) -> Option<String> {
    let (_, attempt) = read(line)?;
    let Attempt {
        at,
        login,
        database,
        address,
    } = attempt?;
    let (database, address) = (database?, address?);
    Some(format!("{at} {login}@{database} {address}"))
}

#[test]
fn a_refused_login_is_read_and_an_admitted_one_is_not() {
    let wrong = "2026-11-30T17:19:44.281Z clerk_a@dbclaims 10.0.0.7";
    assert_eq!(told(WRONG).as_deref(), Some(wrong));
    let later = "2026-11-30T17:19:45.281Z clerk_b@desktop ::1";
    assert_eq!(told(LATER).as_deref(), Some(later));
    assert_eq!(told(RIGHT), None);
    // A name that looks like the message is a name.
    let hostile = RIGHT.replace("clerk_a", r#"\"msg\":\"Authentication failed\""#);
    assert_eq!(told(&hostile), None);
    assert!(read(&hostile).is_some());
}

#[test]
fn each_line_is_told_once_and_the_past_of_a_new_member_never() {
    let mut members = Read::default();
    assert!(members.take("a:1", [WRONG, RIGHT]).is_empty());
    let later = RIGHT.replace("17:19:46", "17:19:47");
    let again = WRONG.replace("17:19:44", "17:19:48");
    let lines = [WRONG, "", RIGHT, &later, &again, "{"];
    assert_eq!(members.take("a:1", lines).len(), 1);
    assert!(members.take("a:1", lines).is_empty());
    assert!(members.take("b:1", [LATER]).is_empty());
    let text = members.to_string();
    let until = "a:1=2026-11-30T17:19:48.281Z b:1=2026-11-30T17:19:45.281Z";
    assert_eq!(text, until);
    assert_eq!(Read::parse(&text), members);
    assert_eq!(Read::parse("a:1 b=soon ="), Read::default());
}

proptest! {
    #[test]
    fn a_spoilt_line_is_passed_over(
        line in prop::sample::select(vec![WRONG, LATER, RIGHT]),
        at in any::<prop::sample::Index>(),
        put in "\\PC{0,3}",
    ) {
        let at = at.index(line.len());
        let (start, end) = line.split_at(at);
        // Cut, or with something put in: read, or nothing, and the login is what stands there.
        for spoilt in [start.to_owned(), format!("{start}{put}{end}")] {
            if let Some((_, Some(attempt))) = read(&spoilt) {
                prop_assert!(!attempt.login.as_str().is_empty());
            }
        }
    }

    #[test]
    fn no_line_makes_it_fail(line in "\\PC*") {
        prop_assert_eq!(read(&line), None);
    }
}

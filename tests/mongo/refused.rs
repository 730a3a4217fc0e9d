//! Claims that a server can't or must not serve: each is told what to do, nothing of anybody is
//! touched, and what was published before goes on working.

use anyhow::{Context, Result, ensure};
use api::conditions::Type;
use mongodb::bson::doc;
use serde_json::{Value, json};
use testkit::env;
use testkit::mongod::{Shape, log_in, run};

use super::place::{Place, made};
use crate::support::{Stage, existing_uri, merge, uri};

/// A claim's name, what it asks for beside a database of its own, and what it is told.
struct Case {
    name: &'static str,
    wish: Value,
    reason: &'static str,
    words: &'static str,
}

fn case(name: &'static str, wish: Value, reason: &'static str, words: &'static str) -> Case {
    Case {
        name,
        wish,
        reason,
        words,
    }
}

/// Names that no claim may have.
fn by_name() -> Vec<Case> {
    const OURS: &str = "MongoDB's or the controller's own";
    let also = |name: &str| json!({ "databases": [name] });
    let first = |name: &str| json!({ "databaseName": name });
    let all = [
        ("admin", first("admin"), OURS),
        ("config", first("config"), OURS),
        ("local", also("local"), OURS),
        ("logins", also("dbclaims"), OURS),
        ("capitals", also("Admin"), OURS),
        ("dot", first("a.b"), "a.b"),
        ("dollar", first("a$b"), "a$b"),
        ("slash", also("a/b"), "a/b"),
        ("space", also("a b"), "a b"),
    ];
    let all = all.into_iter();
    all.map(|(name, wish, words)| case(name, wish, "InvalidSpec", words))
        .collect()
}

/// Roles, keys, and what is somebody else's.
fn by_right() -> Vec<Case> {
    const NOT_LISTED: &str = "not among the claim's databases";
    let role = |role: &str, database: &str| json!({ "databaseRoles": [{ "role": role, "database": database }] });
    let key = |key: &str, text: &str| json!({ "secretTemplate": { "data": { key: text } } });
    let (invalid, blocked) = ("InvalidSpec", "Blocked");
    let all = [
        ("elsewhere", role("read", "profiles"), invalid, NOT_LISTED),
        ("root", role("root", "admin"), invalid, NOT_LISTED),
        (
            "no-role",
            role("auditor", "d6"),
            blocked,
            "a role does not exist",
        ),
        (
            "taken",
            json!({ "databaseName": "image" }),
            blocked,
            "image exists on the server",
        ),
        (
            "others",
            json!({ "databaseName": "profiles" }),
            blocked,
            "belongs to claim",
        ),
        (
            "others-too",
            json!({ "databaseName": "d1", "databases": ["profiles"] }),
            blocked,
            "belongs to claim",
        ),
        (
            "namesake",
            json!({ "databaseName": "d2", "userName": "stranger" }),
            blocked,
            "stranger_a exists",
        ),
        (
            "their-login",
            json!({ "databaseName": "d3", "userName": "first" }),
            blocked,
            "belongs to claim",
        ),
        (
            "unlisted",
            json!({ "databaseName": "unlisted" }),
            "Forbidden",
            "a right is missing",
        ),
        ("template", key("URL", "{nothing}"), invalid, "URL"),
        ("our-key", key("uri.image", "x"), invalid, "uri.image"),
    ];
    let all = all.into_iter();
    all.map(|(name, wish, reason, words)| case(name, wish, reason, words))
        .collect()
}

fn by_source(place: &Place) -> Vec<Case> {
    let right = place.source("d5");
    let source = |uri: &str| existing_uri("clerk", uri);
    let other_set = right.replace("replicaSet=rs0", "replicaSet=rs1");
    let other_source = right.replace("authSource=admin", "authSource=d5");
    let nobody = right.replace("mongodb://controller:", "mongodb://nobody:");
    let wrong = place.source_with("d5", "wrong");
    let closed = "mongodb://controller:pw@127.0.0.1:1/d5?tls=false";
    let unknown = "mongodb://controller:pw@no-such-host.invalid:27017/d5?tls=false";
    let encrypted = right.replace("tls=false", "tls=true");
    vec![
        case("other-set", source(&other_set), "Unavailable", "127.0.0.1"),
        case(
            "other-source",
            source(&other_source),
            "Forbidden",
            "is refused",
        ),
        case("nobody", source(&nobody), "Forbidden", "is refused"),
        case("wrong-password", source(&wrong), "Forbidden", "is refused"),
        case("closed-port", source(closed), "Unavailable", "127.0.0.1:1"),
        case(
            "unknown-host",
            source(unknown),
            "Unavailable",
            "no-such-host.invalid",
        ),
        case(
            "not-encrypted",
            source(&encrypted),
            "Unavailable",
            "127.0.0.1",
        ),
        case(
            "preference",
            source(&format!("{right}&readPreference=nearby")),
            "InvalidSpec",
            "connection string",
        ),
        case(
            "mechanism",
            source(&format!("{right}&authMechanism=NONE")),
            "InvalidSpec",
            "connection string",
        ),
        case(
            "system-source",
            source(&place.source("admin")),
            "InvalidSpec",
            "MongoDB's or the controller's own",
        ),
        case(
            "no-host",
            source("mongodb://controller:pw@/d5"),
            "InvalidSpec",
            "host",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn row_4_what_a_mongodb_can_not_serve_is_said_and_disturbs_nobody() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let pid = controller.pid();
        let place = Place::start(Shape::Set(1)).await?;
        let server = place.register(&stage, "refused").await?;

        // Somebody's database, somebody's login, and a claim that was first.
        let stranger = doc! { "createUser": "stranger_a", "pwd": "theirs", "roles": [] };
        run(&place.root, "dbclaims", stranger).await?;
        let theirs = doc! { "insert": "photos", "documents": [{ "n": 1 }] };
        run(&place.root, "image", theirs).await?;
        stage
            .claim("first", made("first", "profiles", &server))
            .await?;
        stage.ready("first").await?;
        let published = uri(&stage.secret("first").await?);
        let users = place.logins().await?;

        let mut cases = by_name();
        cases.extend(by_right());
        let on_server = cases.len();
        cases.extend(by_source(&place));
        ensure!(cases.len() >= 30, "{} cases", cases.len());
        for (number, case) in cases.iter().enumerate() {
            let user = format!("clerk_{}", case.name.replace('-', "_"));
            let mut spec = if number < on_server {
                made(&user, "d6", &server)
            } else {
                json!({ "type": "mongodb" })
            };
            merge(&mut spec, case.wish.clone());
            stage
                .claim(case.name, spec)
                .await
                .with_context(|| case.name)?;
        }
        for Case {
            name,
            reason,
            words,
            ..
        } in &cases
        {
            let ready = stage.condition(name, Type::Ready, reason).await;
            let ready = ready.with_context(|| *name)?;
            assert!(ready.message.contains(words), "{name}: {}", ready.message);
            let note = stage.event(name, reason).await.with_context(|| *name)?;
            assert!(note.contains(words), "{name}: {note}");
            assert!(stage.secrets().get_opt(name).await?.is_none(), "{name}");
        }
        // What a mistake of one claim may leave is a login of its own without any use.
        let ours =
            |user: &String| user.starts_with("clerk_no_role") || user.starts_with("clerk_unlisted");
        let mut now = place.logins().await?;
        now.retain(|user| !ours(user));
        assert_eq!(now, users);
        log_in(&published).await?;
        assert_eq!(controller.pid(), pid);

        // Put right, a claim is served like any other.
        let right = json!({ "spec": { "databaseName": "d4" } });
        stage.patch("dot", right).await?;
        stage.ready("dot").await?;
        log_in(&uri(&stage.secret("dot").await?)).await
    })
    .await
}

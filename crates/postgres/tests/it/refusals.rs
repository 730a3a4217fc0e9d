//! Refused logins are read in the server's log by an admin that may read nothing else of it.

use std::{fs::OpenOptions, path::PathBuf};

use anyhow::{Context, Result, ensure};
use engine::tripwire::{Attempt, Blind, Reading};
use postgres::Session;
use secrecy::SecretString;
use testkit::{
    assets::postgres::{DEFAULT_MAJOR, MAJORS},
    postgres::{Dsn, PostgresServer, connect, query, query_one, quote},
    wait::wait_for,
};

use crate::stage::{Rank, Stage};

/// Names that try to be lines and fields of a log. Without commas, which the driver can't send.
const HOSTILE: [&str; 2] = [
    "x\"\";\"28P01",
    "{\"user\":\"clerk_b\"} \"state_code\":\"28P01\" \\ ü",
];

/// One that no login of a claim can have.
const LINE: &str = "l\n2026-01-01 00:00:00.000 UTC \"clerk_b\"";

/// A database stands in the log beside the login, and may be called as one likes.
const DATABASE: &str = "d\",7,\"10.9.9.9:1\",a,2,\"authentication\",b,,0,FATAL,28P01,\"y";

/// What such a statement leaves in a log is no attempt, whatever it looks like.
const FORGED: &str = "SELECT '
2026-01-01 00:00:00.000 UTC,\"clerk_b\",\"postgres\",7,\"10.9.9.9:1\",a,2,\"authentication\",2026-01-01 00:00:00 UTC,3/3,0,FATAL,28P01,\"no
{\"timestamp\":\"2026-01-01 00:00:00.000 UTC\",\"user\":\"clerk_b\",\"state_code\":\"28P01\"}
'";

/// A server that writes such a log.
async fn stage(major: u32, format: &str) -> Result<Stage> {
    let builder = PostgresServer::builder().major(major).log_statements();
    Stage::with(builder.log_to(format).start().await?, Rank::Owner).await
}

async fn read(session: &mut Session, after: Option<&str>) -> Result<Reading> {
    Ok(session.refused_logins(after).await??)
}

/// Reads on until so many attempts were found; returns the position after them.
async fn found(session: &mut Session, after: &str, count: usize) -> Result<(String, Vec<Attempt>)> {
    let (mut after, mut all) = (after.to_owned(), Vec::new());
    wait_for("attempts in the log", async || {
        let reading = read(session, Some(&after)).await?;
        after = reading.position;
        all.extend(reading.attempts);
        ensure!(all.len() >= count, "{after}: {all:?}");
        Ok(Some(()))
    })
    .await?;
    ensure!(all.len() == count, "{all:?}");
    Ok((after, all))
}

async fn refuse(stage: &Stage, login: &str) -> Result<()> {
    let wrong = SecretString::from("wrong");
    let dsn: Dsn = stage.server.dsn(login, wrong).database(DATABASE);
    ensure!(connect(&dsn.url()).await.is_err(), "{login} got in");
    Ok(())
}

/// A file of the server's log.
fn on_disk(stage: &Stage, file: &str) -> Result<PathBuf> {
    let folder = stage.server.log_path().parent().context("no folder")?;
    Ok(folder.join("data/log").join(file))
}

async fn on_each(test: impl AsyncFn(&Stage) -> Result<()>) -> Result<()> {
    for major in MAJORS {
        for format in ["csvlog", "jsonlog"] {
            if major == 14 && format == "jsonlog" {
                continue;
            }
            let stage = stage(major, format).await?;
            let told = || format!("on PostgreSQL {major} with {format}");
            test(&stage).await.with_context(told)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn refused_logins_are_read_once_and_nothing_else_is() -> Result<()> {
    on_each(async |stage| {
        let admin = stage.admin.credential.login.as_str().to_owned();
        let mut session = stage.session().await?;
        let blind = session.refused_logins(None).await?.unwrap_err();
        let database = "postgres".to_owned();
        assert_eq!(blind, Blind::NoFunction { database });
        stage.server.let_read_refusals(&admin).await?;

        let right = stage.server.create_login("clerk_a", "").await?;
        let end = read(&mut session, None).await?.position;
        refuse(stage, "clerk_a").await?;
        let (start, _) = found(&mut session, &end, 1).await?;
        let fresh = read(&mut session, None).await?;
        assert!(fresh.attempts.is_empty(), "the past is looked at");

        let shut = stage.server.create_login("shut", "").await?;
        stage.run("postgres", "ALTER ROLE shut NOLOGIN").await?;
        connect(&right.url()).await?;
        query(&right.url(), FORGED).await?;
        let want = ["clerk_a", "clerk_a", HOSTILE[0], HOSTILE[1], "gone"];
        for login in want.into_iter().chain([LINE]) {
            refuse(stage, login).await?;
        }
        ensure!(connect(&shut.url()).await.is_err(), "a shut login got in");
        let (after, all) = found(&mut session, &start, want.len() + 1).await?;
        let names = all.iter().map(|one| one.login.as_str());
        assert!(names.eq(want.into_iter().chain(["shut"])), "{all:?}");
        for attempt in &all {
            let address = attempt.address.context("no address")?;
            ensure!(address.is_loopback(), "{attempt:?}");
        }
        let again = read(&mut session, Some(&after)).await?;
        assert!(again.attempts.is_empty(), "{again:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn reading_goes_on_in_the_next_file_and_after_a_truncation() -> Result<()> {
    on_each(async |stage| {
        let admin = stage.admin.credential.login.as_str().to_owned();
        stage.server.let_read_refusals(&admin).await?;
        let mut session = stage.session().await?;
        let start = read(&mut session, None).await?.position;
        refuse(stage, "before").await?;
        let (start, _) = found(&mut session, &start, 1).await?;
        refuse(stage, "last").await?;
        for name in ["second", "third"] {
            let rename = format!("ALTER SYSTEM SET log_filename = '{name}.log'");
            stage.run("postgres", &rename).await?;
            stage.run("postgres", "SELECT pg_reload_conf()").await?;
            wait_for("the next file", async || {
                let formats = "SELECT string_agg(name, ',') FROM pg_ls_logdir()";
                let files = stage.ask("postgres", formats).await?;
                Ok(files.contains(name).then_some(()))
            })
            .await?;
            refuse(stage, name).await?;
        }
        let (end, all) = found(&mut session, &start, 3).await?;
        let names: Vec<_> = all.iter().map(|one| one.login.as_str()).collect();
        assert_eq!(names, ["last", "second", "third"]);

        let (file, _) = end.rsplit_once(':').context("a position")?;
        let file = OpenOptions::new().write(true).open(on_disk(stage, file)?)?;
        file.set_len(0)?;
        refuse(stage, "later").await?;
        let (_, all) = found(&mut session, &end, 1).await?;
        assert_eq!(all[0].login.as_str(), "later");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn spoilt_logs_are_passed_over() -> Result<()> {
    on_each(async |stage| {
        let admin = stage.admin.credential.login.as_str().to_owned();
        stage.server.let_read_refusals(&admin).await?;
        let mut session = stage.session().await?;
        let start = read(&mut session, None).await?.position;
        let (file, _) = start.rsplit_once(':').context("a position")?;
        // Bytes that are no text, an open quote, a half line, and more than one look reads.
        let mut noise = b"2026-01-01 00:00:00.000 UTC,\"open,28P01,\n".to_vec();
        noise.extend((0..3_000_000_u32).map(|n| n.wrapping_mul(n / 7).to_le_bytes()[1]));
        noise.extend(b"\n{\"state_code\":\"28P01\", \"user\n");
        let mut log = OpenOptions::new()
            .append(true)
            .open(on_disk(stage, file)?)?;
        std::io::Write::write_all(&mut log, &noise)?;
        let mut after = start;
        while let Reading {
            position,
            is_behind: true,
            attempts,
        } = read(&mut session, Some(&after)).await?
        {
            ensure!(position != after, "it stands still at {after}");
            ensure!(attempts.is_empty(), "{attempts:?}");
            after = position;
        }
        // What stands after the noise is found again.
        wait_for("an attempt after the noise", async || {
            refuse(stage, "after").await?;
            let reading = read(&mut session, Some(&after)).await?;
            after = reading.position;
            let found = reading
                .attempts
                .iter()
                .any(|one| one.login.as_str() == "after");
            Ok(found.then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn an_admin_reads_no_other_line_and_calls_no_function_of_somebody_else() -> Result<()> {
    for major in MAJORS {
        let stage = stage(major, "csvlog").await?;
        let admin = &stage.admin.credential;
        stage.server.let_read_refusals(admin.login.as_str()).await?;
        let dsn = stage
            .server
            .dsn(admin.login.as_str(), admin.password.clone())
            .url();
        for denied in [
            "SELECT pg_current_logfile('csvlog')",
            "SELECT name FROM pg_ls_logdir()",
            "SELECT pg_read_file('PG_VERSION')",
            "SELECT pg_read_binary_file('PG_VERSION', 0, 1)::text",
        ] {
            let refused = query_one(&dsn, denied).await;
            ensure!(refused.is_err(), "PostgreSQL {major} allows: {denied}");
        }
        let mut session = stage.session().await?;
        read(&mut session, None).await?;
        let admin = quote(admin.login.as_str());
        let theirs = format!("ALTER FUNCTION dbcontroller.refused_logins(text) OWNER TO {admin}");
        stage.run("postgres", &theirs).await?;
        let blind = session.refused_logins(None).await?.unwrap_err();
        ensure!(matches!(blind, Blind::NoFunction { .. }), "{blind}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_keeps_no_log_says_so() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    assert_eq!(stage.server.major(), DEFAULT_MAJOR);
    let outcome = stage.session().await?.refused_logins(None).await?;
    assert_eq!(outcome, Err(Blind::NoLog));
    Ok(())
}

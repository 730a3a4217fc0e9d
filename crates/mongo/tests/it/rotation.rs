//! Rotations: what stays valid, what ends, and who may change what.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use engine::{ErrorClass, catalog::Role, step::ServerStep};
use mongo::{Admins, Kind, Timeouts};
use mongodb::bson::doc;
use secrecy::SecretString;
use testkit::mongod::{Shape, run};
use testkit::wait::wait_for;

use crate::stage::{Claim, PATIENT, Stage, everywhere, password};

/// Check B 3: the published credential and the one before it log in at every moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rotations_refuse_nobody() -> Result<()> {
    let stage = Stage::new(Shape::Set(1)).await?;
    let claim = Claim::new("clerk");
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    let logins = claim.logins();
    let first = claim.set(&stage, &mut session, &logins.a).await?;
    let published = Arc::new(Mutex::new(vec![stage.dsn(&logins.a, &first)]));
    let (is_over, proofs) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let prober = {
        let (published, is_over, proofs) = (
            Arc::clone(&published),
            Arc::clone(&is_over),
            Arc::clone(&proofs),
        );
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let all = published.lock().unwrap().clone();
                for dsn in all {
                    // What was replaced while the proof was under way is not valid any more.
                    let outcome = mongo::log_in(&dsn, PATIENT).await;
                    let is_valid = published
                        .lock()
                        .unwrap()
                        .iter()
                        .any(|valid| valid.uri_eq(&dsn));
                    if is_valid {
                        outcome?;
                    }
                    proofs.fetch_add(1, Ordering::Relaxed);
                }
            }
            anyhow::Ok(())
        })
    };
    for rotation in 0..10 {
        let idle = if rotation % 2 == 0 {
            &logins.b
        } else {
            &logins.a
        };
        // The idle login's password is about to go; the published one stays.
        published
            .lock()
            .unwrap()
            .retain(|dsn| dsn.credential.login != *idle);
        let secret = claim.set(&stage, &mut session, idle).await?;
        published.lock().unwrap().push(stage.dsn(idle, &secret));
        let seen = proofs.load(Ordering::Relaxed);
        wait_for("a proof", async || {
            anyhow::ensure!(!prober.is_finished(), "the prober was refused");
            Ok((proofs.load(Ordering::Relaxed) > seen + 1).then_some(()))
        })
        .await?;
    }
    is_over.store(true, Ordering::Relaxed);
    prober.await?
}

trait DsnExt {
    fn uri_eq(&self, other: &Self) -> bool;
}

impl DsnExt for engine::dsn::Dsn {
    fn uri_eq(&self, other: &Self) -> bool {
        use secrecy::ExposeSecret;
        self.uri().expose_secret() == other.uri().expose_secret()
    }
}

/// Check B 19: the table of what a change does to a live connection.
#[tokio::test]
async fn a_change_does_to_live_connections_what_the_protocol_relies_on() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk");
        let login = claim.logins().a;
        let mut session = stage.locked(&claim).await?;
        claim.provision(&mut session).await?;
        let secret = claim.set(stage, &mut session, &login).await?;
        let live = stage.client_of(&login, &secret)?;
        let works = async || run(&live, "orders", doc! { "find": "t" }).await.map(drop);
        works().await?;

        // A new password: the live connection goes on, a new login needs the new one.
        let newer = claim.set(stage, &mut session, &login).await?;
        works().await?;
        assert_eq!(refused(stage, &claim, &secret).await?, Kind::RefusedLogin);
        stage.logs_in(&login, &newer).await?;

        // Roles: at once, and healed by granting.
        let roles = || doc! { "roles": [{ "role": "readWrite", "db": "orders" }] };
        let mut revoke = doc! { "revokeRolesFromUser": "clerk_a" };
        revoke.extend(roles());
        run(&stage.root, "dbclaims", revoke).await?;
        assert!(works().await.is_err());
        let mut grant = doc! { "grantRolesToUser": "clerk_a" };
        grant.extend(roles());
        run(&stage.root, "dbclaims", grant).await?;
        works().await?;

        // Retired: live connections stay.
        let catalog = session.observe(&claim.question()).await?;
        let retire = ServerStep::Retire {
            login: login.clone(),
        };
        session.apply(&[retire], &catalog).await?;
        works().await?;
        assert_eq!(refused(stage, &claim, &newer).await?, Kind::RefusedLogin);
        let catalog = session.observe(&claim.question()).await?;
        let role = catalog.roles.get("clerk_a").context("no login")?;
        assert!(!role.can_login);
        assert_eq!(
            role.mark().and_then(|mark| mark.attempt).as_deref(),
            Some("7")
        );

        // Terminated: they are logged out, and the login is there as before.
        let terminate = ServerStep::Terminate {
            login: login.clone(),
        };
        session.apply(&[terminate], &catalog).await?;
        assert!(works().await.is_err());
        assert_eq!(claim.provision(&mut session).await?, []);
        let after = session.observe(&claim.question()).await?;
        assert_eq!(
            after.roles.get("clerk_a").map(of_catalog),
            Some(of_catalog(role))
        );

        // Dropped.
        let drop = ServerStep::DropLogin {
            login: login.clone(),
            role: claim.wishes.role.clone(),
        };
        session.apply(&[drop], &after).await?;
        assert_eq!(refused(stage, &claim, &newer).await?, Kind::RefusedLogin);
        Ok(())
    })
    .await
}

fn of_catalog(role: &Role) -> (Option<String>, Vec<String>) {
    (role.comment.clone(), role.member_of.clone())
}

async fn refused(stage: &Stage, claim: &Claim, secret: &SecretString) -> Result<Kind> {
    let dsn = stage.dsn(&claim.logins().a, secret);
    let err = mongo::log_in(&dsn, PATIENT).await;
    Ok(err.err().context("it logged in")?.kind)
}

/// A lease of a few seconds, as short as its rule lets it be.
const SHORT: Timeouts = Timeouts {
    connect: Duration::from_secs(30),
    lock: Duration::from_millis(10),
    statement: Duration::from_millis(500),
};

/// Check B 21: two controllers, and a lease that ends in the middle of a step.
#[tokio::test]
async fn who_lost_the_lease_changes_nothing_any_more() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk");
        let login = claim.logins().a;
        let ours = Admins::new(SHORT, 4);
        let mut first = ours.acquire(&stage.admin).await?.lock(claim.key()).await?;
        wait_for("the structure", async || {
            Ok(claim.provision(&mut first).await.ok())
        })
        .await?;
        let catalog = first.observe(&claim.question()).await?;
        let seen = catalog
            .roles
            .get(login.as_str())
            .and_then(|role| role.comment.clone());

        // Another controller waits for the end of the lease, not for the first one.
        let theirs = Admins::new(SHORT, 4);
        let fenced = theirs.acquire(&stage.admin).await?.lock(claim.key()).await;
        let fenced = fenced.err().context("two had the lock")?;
        assert_eq!(
            (fenced.class(), &fenced.kind),
            (ErrorClass::Conflict, &Kind::Fenced)
        );
        let mut second = wait_for("the lease to end", async || {
            Ok(theirs
                .acquire(&stage.admin)
                .await?
                .lock(claim.key())
                .await
                .ok())
        })
        .await?;

        let late = first
            .set_password(&login, &password(), &claim.mark(), seen.as_deref())
            .await
            .unwrap_err();
        assert_eq!(late.class(), ErrorClass::Conflict, "{late}");
        let newer = password();
        wait_for("the password", async || {
            let catalog = second.observe(&claim.question()).await?;
            let seen = catalog.roles.get(login.as_str()).context("no login")?;
            let seen = seen.comment.clone();
            let mark = claim.mark().attempt("8");
            let set = second.set_password(&login, &newer, &mark, seen.as_deref());
            set.await?;
            Ok(Some(()))
        })
        .await?;
        stage.logs_in(&login, &newer).await?;

        // Even with the lock: what was seen is no longer there.
        drop(second.unlock().await?);
        drop(first);
        let mut first = stage.locked(&claim).await?;
        let stale = first
            .set_password(&login, &password(), &claim.mark(), seen.as_deref())
            .await
            .unwrap_err();
        assert_eq!(stale.class(), ErrorClass::Conflict, "{stale}");
        stage.logs_in(&login, &newer).await
    })
    .await
}

#[tokio::test]
async fn a_dropped_session_leaves_its_lock_to_its_own_process_only() -> Result<()> {
    let stage = Stage::new(Shape::Standalone).await?;
    let claim = Claim::new("clerk");
    drop(stage.locked(&claim).await?);
    drop(stage.locked(&claim).await?);
    let others = Admins::new(SHORT, 1);
    let other = others.acquire(&stage.admin).await?;
    assert_eq!(
        other.lock(claim.key()).await.err().context("two")?.kind,
        Kind::Fenced
    );
    stage.locked(&claim).await?.unlock().await?;
    others
        .acquire(&stage.admin)
        .await?
        .lock(claim.key())
        .await?;
    Ok(())
}

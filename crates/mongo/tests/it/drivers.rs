//! The connection string that is published, in other people's hands.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use secrecy::ExposeSecret;
use testkit::assets::clients::{Engine, Language};
use testkit::mongod::Shape;
use testkit::wait::wait_for;
use tokio::sync::watch;

use crate::stage::{Claim, Stage};

/// What a client has done, by kind of work.
#[derive(Debug, Default, serde::Deserialize)]
struct Totals {
    done: BTreeMap<String, u64>,
    failure: Option<String>,
}

/// Checks B 1 and B 17: a generated password, and the worst that could be given.
#[tokio::test(flavor = "multi_thread")]
async fn drivers_of_four_languages_take_the_uri_with_any_password() -> Result<()> {
    let stage = Stage::new(Shape::Set(1)).await?;
    let claim = Claim::new("clerk").also_on("image");
    let logins = claim.logins();
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    let generated = claim.set(&stage, &mut session, &logins.a).await?;
    let given = ":/?#[]@ %+ü€".into();
    claim.set_to(&mut session, &logins.b, &given).await?;
    for (login, password) in [(&logins.a, &generated), (&logins.b, &given)] {
        let uri = stage.dsn(login, password).uri();
        for language in Language::ALL {
            works(language, uri.expose_secret())
                .await
                .with_context(|| format!("{language:?} as {login}"))?;
            // Each begins with nothing.
            stage.root.database("orders").drop().await?;
        }
    }
    Ok(())
}

/// Everything that the client does, once.
async fn works(language: Language, uri: &str) -> Result<()> {
    let (totals, mut seen) = watch::channel(Totals::default());
    let (end, ended) = watch::channel(false);
    let note = |new| {
        totals.send_replace(new);
    };
    let looking = async {
        let outcome = wait_for("all kinds of work", async || {
            let totals = seen.borrow_and_update();
            ensure!(totals.failure.is_none(), "{totals:?}");
            let has_begun = !totals.done.is_empty();
            Ok((has_begun && totals.done.values().all(|count| *count > 0)).then_some(()))
        })
        .await;
        end.send_replace(true);
        outcome
    };
    let work = language.work(Engine::Mongodb, uri, note, ended);
    tokio::try_join!(work, looking).map(drop)
}

//! Applications on MongoDB in four languages, at work at the same time. What they do in detail is
//! in `tests/clients/mongodb`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use testkit::assets::clients::{Engine, Language};
use testkit::wait::wait_for;
use tokio::sync::watch;

/// A client's totals by kind of work.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(crate) struct Totals {
    pub(crate) done: BTreeMap<String, u64>,
    pub(crate) failed: BTreeMap<String, u64>,
    /// The first.
    failure: Option<String>,
}

impl Totals {
    fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// All that was acknowledged is stored, and no more than may have been: what a driver reports
    /// as failed may have been done.
    fn fits(&self, kind: &str, times: u64, stored: u64, what: &str) {
        let of = |counts: &BTreeMap<String, u64>| counts.get(kind).copied().unwrap_or_default();
        let least = of(&self.done) * times;
        let most = least + of(&self.failed) * times;
        assert!(
            (least..=most).contains(&stored),
            "{what}: {stored} of {least} to {most}"
        );
    }
}

#[derive(Default)]
pub(crate) struct Crew {
    totals: [watch::Sender<Totals>; 4],
}

impl Crew {
    /// Runs all of them with `uri` while `play` goes on, and until each has told all.
    pub(crate) async fn work(
        &self,
        uri: &str,
        play: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let (end, _) = watch::channel(false);
        let clients = self.members().map(|(language, totals)| {
            let note = |new| {
                totals.send_replace(new);
            };
            let ended = end.subscribe();
            Box::pin(language.work(Engine::Mongodb, uri, note, ended))
        });
        let play = async {
            let outcome = play.await;
            end.send_replace(true);
            outcome
        };
        tokio::try_join!(Box::pin(play), try_join_all(clients)).map(drop)
    }

    fn members(&self) -> impl Iterator<Item = (Language, &watch::Sender<Totals>)> {
        Language::ALL.into_iter().zip(&self.totals)
    }

    /// Waits until each has done each kind of work so often again.
    pub(crate) async fn goes_on(&self, times: u64) -> Result<()> {
        let before = self.totals.each_ref().map(|totals| totals.borrow().clone());
        wait_for("every client to do everything", async || {
            for ((language, totals), before) in self.members().zip(&before) {
                let totals = totals.borrow();
                ensure!(!totals.done.is_empty(), "{language:?} has not begun");
                for (kind, number) in &totals.done {
                    let before = before.done.get(kind).unwrap_or(&0);
                    ensure!(number >= &(before + times), "{language:?}: {totals:?}");
                }
            }
            Ok(Some(()))
        })
        .await
    }

    /// Waits until each has reported a failure of each kind.
    pub(crate) async fn reports_failures(&self) -> Result<()> {
        wait_for("every client to report failures", async || {
            for (language, totals) in self.members() {
                let totals = totals.borrow();
                let is_told = |kind| totals.failed.get(kind).is_some_and(|number| *number > 0);
                let all = totals.done.keys().all(is_told);
                ensure!(all && totals.failure.is_some(), "{language:?}: {totals:?}");
            }
            Ok(Some(()))
        })
        .await
    }

    /// What each has done, for people.
    pub(crate) fn summary(&self) -> String {
        let line = |(language, totals): (Language, &watch::Sender<Totals>)| {
            format!("{language:?}: {:?}", totals.borrow().done)
        };
        self.members().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Whether nothing failed but what may; `may` also gets the client's first failure.
    pub(crate) fn fails_only(&self, may: impl Fn(Language, &str, &str) -> bool) -> Result<()> {
        for (language, totals) in self.members() {
            let totals = totals.borrow();
            let mut failed = totals.failed.iter().filter(|(_, number)| **number > 0);
            let first = totals.failure.as_deref().unwrap_or_default();
            ensure!(
                failed.all(|(kind, _)| may(language, kind, first)),
                "{language:?}: {totals:?}"
            );
        }
        Ok(())
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        let told = |(language, totals): (Language, &watch::Sender<Totals>)| {
            let totals = totals.borrow();
            let failed = &totals.failed;
            (totals.failures() > 0)
                .then(|| format!("{language:?}: {failed:?}, first {:?}", totals.failure))
        };
        self.members().filter_map(told).collect()
    }

    /// Compares what the clients were told with what is stored in `database`.
    pub(crate) async fn is_right(&self, root: &Client, database: &str, least: u64) -> Result<()> {
        let database = root.database(database);
        for (language, totals) in self.members() {
            let totals = totals.borrow().clone();
            let done = |kind: &str| totals.done.get(kind).copied().context("no such kind");
            for kind in totals.done.keys() {
                assert!(done(kind)? >= least, "{language:?}: {totals:?}");
            }
            let name = language.name();
            let inserted = database.collection::<Document>(&format!("{name}_inserted"));
            let inserted = inserted.count_documents(doc! {}).await?;
            totals.fits("inserts", 1, inserted, &format!("{language:?}: inserts"));
            let told = done("inserts")?..=inserted;
            assert!(
                told.contains(&done("events")?),
                "{language:?}: {inserted} {totals:?}"
            );
            let counters = database.collection::<Document>(&format!("{name}_counters"));
            for (counter, kind, times) in [
                ("transactions", "transactions", 1),
                ("twice", "transactions", 2),
                ("writes", "writes", 3),
            ] {
                let stored = counters.find_one(doc! { "_id": counter }).await?;
                let stored = match stored.context("no counter")?.get("n") {
                    Some(Bson::Int32(n)) => u64::try_from(*n)?,
                    Some(Bson::Int64(n)) => u64::try_from(*n)?,
                    other => anyhow::bail!("{counter} is {other:?}"),
                };
                totals.fits(kind, times, stored, &format!("{language:?}: {counter}"));
            }
        }
        Ok(())
    }
}

//! Many claims at once on one server, by one admin.

use std::{sync::Arc, time::Instant};

use anyhow::Result;

use crate::stage::{Claim, everywhere_shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_of_one_admin_do_not_disturb_each_other() -> Result<()> {
    everywhere_shared(async |stage| {
        let started = Instant::now();
        let mut claims = tokio::task::JoinSet::new();
        for index in 0..24 {
            let stage = Arc::clone(&stage);
            claims.spawn(async move {
                let claim = Claim::new(&format!("clerk{index}"), &format!("orders{index}"))?;
                claim.create(&mut stage.session().await?).await?;
                let login = &claim.logins.a;
                let password = claim
                    .set_password(stage.session().await?, login, index)
                    .await?;
                let dsn = claim.dsn(&stage, login, &password);
                postgres::log_in(&dsn, &claim.role, stage.admins.timeouts()).await?;
                anyhow::Ok(())
            });
        }
        while let Some(outcome) = claims.join_next().await {
            outcome??;
        }
        eprintln!("24 claims in {:?}", started.elapsed());
        assert_eq!(stage.memberships_of_admin().await?, "0");
        Ok(())
    })
    .await
}

//! At every instant the admin's Secret logs in, while controllers die at each step.

use anyhow::{Result, ensure};
use engine::rotation::Step;
use testkit::env;
use testkit::postgres::PostgresServer;
use testkit::prober::Prober;

use super::stage::Server;
use crate::promise::{Fault, Faulty};
use crate::support::{Stage, log_in};

/// Those that a rotation without a retirement passes.
const STEPS: [Step; 8] = [
    Step::Pick,
    Step::Check,
    Step::Lock,
    Step::Set,
    Step::Verify,
    Step::Publish,
    Step::Confirm,
    Step::Record,
];

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_secret_logs_in_through_a_kill_at_every_step() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let mut controller = Faulty::start(env, Fault::Kill).await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let server = Server::make(&stage, "main", &admin, postgres.port()).await?;
        let prober = Prober::start(
            stage.client.clone(),
            &stage.namespace,
            &server.secret_name(),
        );
        server.published(1).await?;
        server.claim(env, "shop").await?;
        for step in STEPS {
            controller.strike_at(step)?;
            let nonce = server.ask().await?;
            controller.start_after_death().await?;
            server
                .when("the rotation that was cut short", |status| {
                    let rotation = status.rotation.as_ref();
                    rotation.is_some_and(|it| it.handled_nonce.as_ref() == Some(&nonce))
                })
                .await?;
            assert_eq!(log_in(&server.secret().await?).await?, admin.login());
        }
        stage.rotate("shop").await?;
        let report = prober.stop().await?;
        eprintln!("promise: a kill at each step of an admin's rotation: {report:?}");
        ensure!(report.failures == 0, "{:?}", report.first_failures);
        ensure!(report.credentials > STEPS.len() as u64, "{report:?}");
        Ok(())
    })
    .await
}

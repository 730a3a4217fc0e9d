//! Proving a DSN before it is published.

use anyhow::Result;
use engine::{
    ErrorClass,
    address::{Endpoint, SslMode},
    names::{DatabaseName, RoleName},
};
use postgres::{Admins, Kind, Timeouts, log_in};
use testkit::{names, postgres::PostgresServer};

use crate::stage::{Claim, Rank, Stage, address};

#[tokio::test]
async fn row_19_a_login_is_proved_by_what_the_dsn_says() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let claim = Claim::new("clerk", "orders")?;
    claim.create(&mut stage.session().await?).await?;
    let login = &claim.logins.a;
    let password = claim
        .set_password(stage.session().await?, login, 17)
        .await?;
    let timeouts = Timeouts::default();
    let mut dsn = claim.dsn(&stage, login, &password);
    dsn.address.primary.host = "::1".to_owned();
    dsn.address.ssl_mode = SslMode::Prefer;
    let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    dsn.address.parameters = vec![
        parameter("application_name", "my shop"),
        parameter("options", "-c search_path=app"),
        parameter("target_session_attrs", "any"),
    ];
    log_in(&dsn, &claim.role, timeouts).await?;
    assert!(stage.server.log()?.contains("application_name=my shop"));

    let other = RoleName::try_from("other")?;
    let err = log_in(&dsn, &other, timeouts).await.unwrap_err();
    assert_eq!(err.class(), ErrorClass::Conflict);
    assert!(
        err.to_string()
            .contains("runs as clerk, not as the owner role other"),
        "{err}"
    );

    let mut elsewhere = dsn.clone();
    elsewhere.database = DatabaseName::try_from("nowhere")?;
    let err = log_in(&elsewhere, &claim.role, timeouts).await.unwrap_err();
    assert_eq!(err.class(), ErrorClass::Blocked, "{err}");

    assert!(
        stage
            .refused(&claim, login, &names::random_password())
            .await
    );
    assert!(stage.refused(&claim, &claim.logins.b, &password).await);
    Ok(())
}

#[tokio::test]
async fn row_93_a_server_is_verified_by_the_ca_that_the_claim_trusts() -> Result<()> {
    let server = PostgresServer::builder().with_tls().start().await?;
    let admin = server.superuser();
    let ca = std::fs::read_to_string(server.ca_file().unwrap())?;
    let role = RoleName::try_from("postgres")?;
    let mut trusted = address(server.port());
    trusted.ca = Some(ca);
    for (mode, host, works) in [
        (SslMode::VerifyFull, "localhost", true),
        (SslMode::VerifyFull, "127.0.0.1", true),
        // The same place under a name that the certificate does not have.
        (SslMode::VerifyFull, "::ffff:127.0.0.1", false),
        (SslMode::VerifyCa, "::ffff:127.0.0.1", true),
        (SslMode::Require, "::ffff:127.0.0.1", true),
        (SslMode::Prefer, "127.0.0.1", true),
        (SslMode::Allow, "127.0.0.1", true),
        (SslMode::Disable, "127.0.0.1", false),
    ] {
        let mut address = trusted.clone();
        address.ssl_mode = mode;
        address.primary.host = host.to_owned();
        let dsn = dsn_of(&admin, address)?;
        let outcome = log_in(&dsn, &role, Timeouts::default()).await;
        assert_eq!(outcome.is_ok(), works, "{mode} to {host}: {outcome:?}");
    }
    let mut stranger = trusted.clone();
    stranger.ca = Some(testkit::pki::Authority::new("somebody else")?.pem());
    stranger.ssl_mode = SslMode::VerifyFull;
    let err = log_in(&dsn_of(&admin, stranger)?, &role, Timeouts::default())
        .await
        .unwrap_err();
    assert!(matches!(err.kind, Kind::Tls(_)), "{err:?}");
    assert_eq!(err.class(), ErrorClass::Unavailable);
    Ok(())
}

fn dsn_of(
    login: &testkit::postgres::Dsn,
    address: engine::address::Address,
) -> Result<engine::dsn::Dsn> {
    Ok(engine::dsn::Dsn {
        address,
        database: DatabaseName::try_from("postgres")?,
        credential: engine::dsn::Credential {
            login: engine::names::Login::try_from(login.login())?,
            password: login.password().clone(),
        },
    })
}

#[tokio::test]
async fn nobody_listening_is_unavailable() -> Result<()> {
    let stage = Stage::new(Rank::Owner).await?;
    let mut dsn = stage.admin.clone();
    dsn.address.primary = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: 1,
    };
    let admins = Admins::new(Timeouts::default(), 1);
    let err = admins.acquire(&dsn).await.err().unwrap();
    assert_eq!(err.class(), ErrorClass::Unavailable);
    assert!(err.to_string().contains("127.0.0.1:1"), "{err}");
    Ok(())
}

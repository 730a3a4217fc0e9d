//! Encrypted connections: who is trusted.

use anyhow::{Context, Result};
use engine::{ErrorClass, address::SslMode};
use mongo::{Admins, Kind};
use testkit::mongod::{Options, Servers, Shape};
use testkit::pki::Authority;

use crate::stage::{Claim, PATIENT, Stage};

#[tokio::test]
async fn only_the_given_authority_is_trusted() -> Result<()> {
    let authority = Authority::new("of the server")?;
    let options = Options {
        authority: Some(&authority),
        ..Options::default()
    };
    let servers = Servers::start_with(Shape::Set(1), &options).await?;
    let mut stage = Stage::of(servers).await?;
    stage.admin.address.ssl_mode = SslMode::VerifyFull;
    stage.admin.address.ca = Some(authority.pem());
    let claim = Claim::new("clerk");
    let login = claim.logins().a;
    let mut session = stage.locked(&claim).await?;
    claim.provision(&mut session).await?;
    let secret = claim.set(&stage, &mut session, &login).await?;

    let mut timeouts = PATIENT;
    timeouts.connect = std::time::Duration::from_secs(3);
    let mut dsn = stage.dsn(&login, &secret);
    for ca in [Some(Authority::new("another")?.pem()), None] {
        dsn.address.ca = ca;
        let err = mongo::log_in(&dsn, timeouts).await.err();
        let err = err.context("a stranger is trusted")?;
        assert!(matches!(err.kind, Kind::Tls(_)), "{err}");
        assert_eq!(err.class(), ErrorClass::Unavailable);
    }
    dsn.address.ca = Some(authority.pem());
    dsn.address.ssl_mode = SslMode::VerifyCa;
    mongo::log_in(&dsn, timeouts).await?;
    dsn.address.ca = None;
    // Encrypted all the same, for those who ask for no more.
    dsn.address.ssl_mode = SslMode::Require;
    mongo::log_in(&dsn, timeouts).await?;

    let mut stranger = stage.admin.clone();
    stranger.address.ca = Some("no certificate".to_owned());
    let refused = Admins::new(timeouts, 1).acquire(&stranger).await;
    assert!(matches!(
        refused.err().context("trusted")?.kind,
        Kind::Tls(_)
    ));
    Ok(())
}

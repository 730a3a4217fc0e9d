//! What a real PgBouncer makes of our configuration, before a real PostgreSQL.

use std::sync::Arc;

use anyhow::Result;
use dbproxy::dsn::Upstream;
use dbproxy::pgbouncer::{Settings, ini};
use secrecy::{ExposeSecret, SecretString};
use testkit::assets::pgbouncer;
use testkit::postgres::{Dsn, PostgresServer, execute, query_one, quote};
use testkit::process::{Process, ProcessBuilder, RunAs, Workdir, with_free_ports, write_private};
use testkit::wait::wait_for;

/// Each could break out of its quotes, its line or its section, or is changed by some decoding.
const HOSTILE: [&str; 9] = [
    "t7#Kd^2=Wq:9mZ+x",
    "it's ''quoted''",
    "'",
    "a b  c ",
    "; comment # comment",
    "%include /etc/passwd",
    "x' host='elsewhere",
    "back\\slash\\",
    "[pgbouncer]\u{e4}\u{20ac}",
];

#[tokio::test]
async fn row_61_any_client_lands_in_the_database_of_the_dsn_whatever_its_names() -> Result<()> {
    let server = PostgresServer::builder().start().await?;
    let proxy = Proxy::start(&login(&server, "first", "first", "first").await?).await?;
    for (number, hostile) in HOSTILE.into_iter().enumerate() {
        let name = format!("{number} {hostile}");
        let dsn = login(&server, &name, hostile, &name).await?;
        proxy.configure(&dsn)?;
        proxy.process.reload()?;
        let want = format!("{name} in {name}");
        wait_for(format!("clients to be {want}"), async || {
            let who = proxy.who().await?;
            anyhow::ensure!(who == want, "clients are {who}");
            Ok(Some(()))
        })
        .await?;
    }
    proxy.process.stop().await?;
    server.stop().await
}

/// A login and a database of its own.
async fn login(
    server: &PostgresServer,
    name: &str,
    password: &str,
    database: &str,
) -> Result<SecretString> {
    server.create_login(name, "").await?;
    let literal = password.replace('\'', "''");
    let change = format!("ALTER ROLE {} PASSWORD '{literal}'", quote(name));
    execute(&server.superuser().url(), &change).await?;
    server.create_database(database, name).await?;
    let dsn = server.dsn(name, password.into()).database(database);
    Ok(dsn.url())
}

struct Proxy {
    process: Process,
    workdir: Arc<Workdir>,
    account: Option<RunAs>,
    port: u16,
}

impl Proxy {
    async fn start(dsn: &SecretString) -> Result<Self> {
        let program = pgbouncer::program()?;
        let account = RunAs::unprivileged()?;
        with_free_ports(async |[port]: [u16; 1]| {
            let workdir = Workdir::new("pgbouncer")?;
            configure(&workdir, account, port, dsn)?;
            let process = ProcessBuilder::new("pgbouncer", &program)
                .arg(workdir.join("pgbouncer.ini"))
                .run_as(account)
                .start(&workdir, async || who(port).await.is_ok())
                .await?;
            Ok(Self {
                process,
                workdir,
                account,
                port,
            })
        })
        .await
    }

    fn configure(&self, dsn: &SecretString) -> Result<()> {
        configure(&self.workdir, self.account, self.port, dsn)
    }

    async fn who(&self) -> Result<String> {
        who(self.port).await
    }
}

/// Writes the configuration beside the old one and renames it.
fn configure(
    workdir: &Workdir,
    account: Option<RunAs>,
    port: u16,
    dsn: &SecretString,
) -> Result<()> {
    let settings = Settings {
        port,
        ..Settings::default()
    };
    let text = ini(&Upstream::parse(dsn)?, &settings)?;
    let (unfinished, path) = (workdir.join("new.ini"), workdir.join("pgbouncer.ini"));
    write_private(&unfinished, text.expose_secret())?;
    if let Some(account) = account {
        account.own(&unfinished)?;
    }
    std::fs::rename(unfinished, path)?;
    Ok(())
}

/// As whom and where a client works that names another login and another database.
async fn who(port: u16) -> Result<String> {
    let anybody = Dsn::new("127.0.0.1", port, "anybody", "anything".into()).database("anywhere");
    query_one(
        &anybody.parameter("sslmode", "disable").url(),
        "SELECT format('%s in %s', session_user, current_database())",
    )
    .await
}

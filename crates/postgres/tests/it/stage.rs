//! A server, an admin, and a claim's names on it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use engine::{
    address::{Address, Endpoint, SslMode},
    catalog::{Catalog, Question},
    dsn::{Credential, Dsn},
    mark::Mark,
    names::{DatabaseName, Login, LoginPair, RoleName},
    step::ServerStep,
};
use postgres::{Admins, Session, Timeouts, Verifier};
use secrecy::SecretString;
use testkit::{
    assets::postgres::{DEFAULT_MAJOR, MAJORS},
    names,
    postgres::{PostgresServer, query, query_one},
};

/// A busy machine makes 24 claims wait long for eight sessions; no test here is about that.
const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_mins(1),
    lock: Duration::from_mins(1),
    statement: Duration::from_mins(1),
};

/// Whom a test runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    Superuser,
    /// CREATEROLE and CREATEDB, nothing more.
    Owner,
}

pub(crate) struct Stage {
    pub(crate) server: PostgresServer,
    pub(crate) admin: Dsn,
    pub(crate) admins: Admins,
}

/// Runs a test on each version as an admin that is no superuser, for whom the versions differ, and
/// once as a superuser, for whom they do not.
pub(crate) async fn everywhere(test: impl AsyncFn(&Stage) -> Result<()>) -> Result<()> {
    everywhere_shared(async |stage| test(&stage).await).await
}

/// The same for tests that work from several tasks.
pub(crate) async fn everywhere_shared(test: impl AsyncFn(Arc<Stage>) -> Result<()>) -> Result<()> {
    let owners = MAJORS.map(|major| (major, Rank::Owner));
    let superuser = (DEFAULT_MAJOR, Rank::Superuser);
    for (major, rank) in owners.into_iter().chain([superuser]) {
        let stage = Stage::of(major, rank).await?;
        test(Arc::new(stage))
            .await
            .with_context(|| format!("on PostgreSQL {major} as {rank:?}"))?;
    }
    Ok(())
}

impl Stage {
    pub(crate) async fn new(rank: Rank) -> Result<Self> {
        Self::of(DEFAULT_MAJOR, rank).await
    }

    async fn of(major: u32, rank: Rank) -> Result<Self> {
        let builder = PostgresServer::builder().major(major).log_statements();
        Self::with(builder.start().await?, rank).await
    }

    /// On a server of the test's own.
    pub(crate) async fn with(server: PostgresServer, rank: Rank) -> Result<Self> {
        let dsn = match rank {
            Rank::Superuser => server.superuser(),
            Rank::Owner => server.create_owner_admin().await?.dsn,
        };
        let admin = Dsn {
            address: address(server.port()),
            database: DatabaseName::try_from("postgres")?,
            credential: Credential {
                login: Login::try_from(dsn.login())?,
                password: dsn.password().clone(),
            },
        };
        let admins = Admins::new(PATIENT, 8);
        Ok(Self {
            server,
            admin,
            admins,
        })
    }

    pub(crate) async fn session(&self) -> Result<Session> {
        Ok(self.admins.acquire(&self.admin).await?)
    }

    pub(crate) async fn session_in(&self, database: &DatabaseName) -> Result<Session> {
        let database = database.clone();
        let admin = self.admin.clone();
        Ok(self.admins.acquire(&Dsn { database, ..admin }).await?)
    }

    /// What the superuser sees.
    pub(crate) async fn ask(&self, database: &str, sql: &str) -> Result<String> {
        query_one(&self.server.superuser().database(database).url(), sql).await
    }

    pub(crate) async fn run(&self, database: &str, sql: &str) -> Result<()> {
        let dsn = self.server.superuser().database(database).url();
        query(&dsn, sql).await.map(drop)
    }

    /// Memberships that the admin could use: there must be none between two operations. From 16 on
    /// a creator may administer its roles without being able to become them.
    pub(crate) async fn memberships_of_admin(&self) -> Result<String> {
        let admin = self.admin.credential.login.as_str();
        let sql = format!(
            "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
             WHERE r.rolname = '{admin}' AND coalesce((to_jsonb(m)->>'set_option')::bool, true)"
        );
        self.ask("postgres", &sql).await
    }

    pub(crate) async fn refused(
        &self,
        claim: &Claim,
        login: &Login,
        password: &SecretString,
    ) -> bool {
        let dsn = claim.dsn(self, login, password);
        let outcome = postgres::log_in(&dsn, &claim.role, Timeouts::default()).await;
        outcome.is_err_and(|err| err.is_refused_login())
    }

    /// Messages with statements that the server has logged of `login` so far.
    pub(crate) fn statements_of(&self, login: &Login) -> Result<usize> {
        let prefix = format!("] {login}@");
        let log = self.server.log()?;
        let is_statement = |line: &&str| line.contains(&prefix) && line.contains("statement: ");
        Ok(log.lines().filter(is_statement).count())
    }
}

pub(crate) fn address(port: u16) -> Address {
    let host = "127.0.0.1".to_owned();
    Address::new(Endpoint { host, port }, SslMode::Disable)
}

/// The names of one claim.
pub(crate) struct Claim {
    pub(crate) role: RoleName,
    pub(crate) database: DatabaseName,
    pub(crate) logins: LoginPair,
    pub(crate) mark: Mark,
}

impl Claim {
    pub(crate) fn new(role: &str, database: &str) -> Result<Self> {
        let role = RoleName::try_from(role)?;
        Ok(Self {
            logins: LoginPair::of_role(&role),
            role,
            database: DatabaseName::try_from(database)?,
            mark: Mark::new("shop/orders", "0f3a"),
        })
    }

    pub(crate) fn question(&self) -> Question {
        let LoginPair { a, b } = self.logins.clone();
        Question {
            others: Vec::new(),
            copies: Vec::new(),
            roles: vec![self.role.to_string(), a.to_string(), b.to_string()],
            logins: vec![a, b],
            database: self.database.clone(),
        }
    }

    pub(crate) async fn observe(&self, session: &mut Session) -> Result<Catalog> {
        Ok(session.observe(&self.question()).await?)
    }

    /// Everything that a new claim needs.
    pub(crate) fn creation(&self) -> Vec<ServerStep> {
        let (role, database, mark) = (&self.role, &self.database, &self.mark);
        let mut steps = vec![ServerStep::CreateOwner {
            role: role.clone(),
            mark: mark.clone().creating(),
        }];
        for login in self.logins.both() {
            steps.push(ServerStep::CreateLogin {
                login: login.clone(),
                role: role.clone(),
                mark: mark.clone(),
            });
            steps.push(ServerStep::JoinOwner {
                login: login.clone(),
                role: role.clone(),
            });
            steps.push(ServerStep::AssumeOwner {
                login: login.clone(),
                role: role.clone(),
            });
        }
        steps.push(ServerStep::CreateDatabase {
            database: database.clone(),
        });
        steps.push(ServerStep::OwnDatabase {
            database: database.clone(),
            role: role.clone(),
            mark: mark.clone(),
        });
        steps
    }

    pub(crate) async fn create(&self, session: &mut Session) -> Result<()> {
        let catalog = self.observe(session).await?;
        Ok(session.apply(&self.creation(), &catalog).await?)
    }

    /// Gives `login` a fresh password and returns it.
    pub(crate) async fn set_password(
        &self,
        session: Session,
        login: &Login,
        key: i64,
    ) -> Result<SecretString> {
        let password = names::random_password();
        let verifier = Verifier::of(&password)
            .await
            .context("the runtime is ending")?;
        let mut session = session.lock(&[key]).await?;
        let catalog = self.observe(&mut session).await?;
        let seen = catalog.roles.get(login.as_str());
        let seen = seen.and_then(|role| role.comment.as_deref());
        let mark = self.mark.clone().attempt("8");
        session.set_password(login, &verifier, &mark, seen).await?;
        session.unlock().await?;
        Ok(password)
    }

    pub(crate) fn dsn(&self, stage: &Stage, login: &Login, password: &SecretString) -> Dsn {
        Dsn {
            address: stage.admin.address.clone(),
            database: self.database.clone(),
            credential: Credential {
                login: login.clone(),
                password: password.clone(),
            },
        }
    }
}

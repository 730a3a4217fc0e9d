//! Servers, an admin of the least role, and a claim's names on them.

use std::time::Duration;

use anyhow::{Context, Result};
use engine::{
    address::{Address, Endpoint, Engine, Scheme, SslMode},
    asked::Asked,
    catalog::{Catalog, Question},
    decide,
    dsn::{Credential, Dsn},
    mark::Mark,
    names::{DatabaseName, Login, LoginPair, RoleName},
    observed::{Observed, Proof, Recorded},
    password::{Generator, PasswordSource, Policy},
    step::ServerStep,
    wishes::{
        Access, ClaimId, ClaimKind, DriftPolicy, Elevation, Mode, RoleWish, SecretShape, Timing,
        Wishes,
    },
};
use mongo::{Admins, Locked, Session, Timeouts};
use mongodb::{
    Client,
    bson::{Bson, Document, doc},
};
use secrecy::{ExposeSecret, SecretString};

use testkit::mongod::{ADMIN_ROLE, Servers, Shape, client, create_admin_role, run};

/// A busy machine answers late; no test here is about that.
pub(crate) const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(30),
    lock: Duration::from_mins(1),
    statement: Duration::from_secs(30),
};

pub(crate) const ADMIN: &str = "controller";
pub(crate) const ADMIN_PASSWORD: &str = "of-the-controller";

/// The databases that claims may use: the admin has rights on no other.
const DATABASES: [&str; 4] = ["orders", "profiles", "image", "desktop"];

pub(crate) struct Stage {
    pub(crate) servers: Servers,
    pub(crate) admin: Dsn,
    pub(crate) admins: Admins,
    pub(crate) root: Client,
}

/// Runs a test on a server alone and on a replica set.
pub(crate) async fn everywhere(test: impl AsyncFn(&Stage) -> Result<()>) -> Result<()> {
    for shape in [Shape::Standalone, Shape::Set(1)] {
        let stage = Stage::new(shape).await?;
        test(&stage)
            .await
            .with_context(|| format!("on {shape:?}"))?;
    }
    Ok(())
}

impl Stage {
    pub(crate) async fn new(shape: Shape) -> Result<Self> {
        Self::of(Servers::start(shape).await?).await
    }

    pub(crate) async fn of(servers: Servers) -> Result<Self> {
        testkit::install_crypto_provider();
        let root = servers.root()?;
        create_admin_role(&root, &DATABASES).await?;
        make_admin_user(&root).await?;
        let admin = dsn(&servers, "admin", ADMIN, ADMIN_PASSWORD)?;
        Ok(Self {
            servers,
            admin,
            admins: Admins::new(PATIENT, 8),
            root,
        })
    }

    pub(crate) async fn session(&self) -> Result<Session> {
        Ok(self.admins.acquire(&self.admin).await?)
    }

    pub(crate) async fn locked(&self, claim: &Claim) -> Result<Locked> {
        let session = self
            .session()
            .await?
            .for_accounts(claim.wishes.access.accounts(&name("orders")));
        Ok(session.lock(claim.key()).await?)
    }

    /// What a login's connection string says.
    pub(crate) fn dsn(&self, login: &Login, password: &SecretString) -> Dsn {
        Dsn {
            address: self.admin.address.for_logins("dbclaims"),
            database: name("orders"),
            credential: Credential {
                login: login.clone(),
                password: password.clone(),
            },
        }
    }

    pub(crate) async fn logs_in(&self, login: &Login, password: &SecretString) -> Result<()> {
        Ok(mongo::log_in(&self.dsn(login, password), PATIENT).await?)
    }

    /// Logs in where each of the claim's databases does that itself.
    pub(crate) async fn logs_in_each(
        &self,
        claim: &Claim,
        login: &Login,
        password: &SecretString,
    ) -> Result<()> {
        let mut dsn = self.dsn(login, password);
        dsn.address = self.admin.address.for_logins("orders");
        let others = dsn.of_databases(&claim.wishes.access.others, true);
        for dsn in std::iter::once(dsn).chain(others) {
            mongo::log_in(&dsn, PATIENT).await?;
        }
        Ok(())
    }

    /// A driver's client with a login of a claim.
    pub(crate) fn client_of(&self, login: &Login, password: &SecretString) -> Result<Client> {
        let login = (login.as_str(), password.expose_secret(), "dbclaims");
        client(self.servers.ports(), self.servers.set_name(), Some(login))
    }

    /// What root knows of a login, its verifier included.
    pub(crate) async fn user(&self, login: &Login) -> Result<Option<Document>> {
        self.user_in(login, "dbclaims").await
    }

    pub(crate) async fn user_in(&self, login: &Login, database: &str) -> Result<Option<Document>> {
        let info = doc! {
            "usersInfo": { "user": login.as_str(), "db": database },
            "showCredentials": true,
        };
        let answer = run(&self.root, database, info).await?;
        let users = answer.get_array("users")?;
        Ok(users.first().and_then(Bson::as_document).cloned())
    }

    /// All logins and databases of the server, for comparing.
    pub(crate) async fn everything(&self) -> Result<Vec<String>> {
        let all = doc! { "usersInfo": { "forAllDBs": true } };
        let users = run(&self.root, "admin", all).await?;
        let users = users.get_array("users")?.iter();
        let mut all: Vec<_> = users
            .filter_map(|user| Some(user.as_document()?.get_str("_id").ok()?.to_owned()))
            .collect();
        let databases = self.root.list_database_names().await?;
        all.extend(
            databases
                .into_iter()
                .filter(|name| DATABASES.contains(&name.as_str())),
        );
        all.sort();
        Ok(all)
    }
}

/// The roles of a user, as `database.role`.
pub(crate) fn roles(user: &Document) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for role in user.get_array("roles")? {
        let role = role.as_document().context("a role is a document")?;
        all.push(format!("{}.{}", role.get_str("db")?, role.get_str("role")?));
    }
    all.sort();
    Ok(all)
}

pub(crate) async fn make_admin_user(root: &Client) -> Result<()> {
    let user = doc! { "createUser": ADMIN, "pwd": ADMIN_PASSWORD, "roles": [ADMIN_ROLE] };
    run(root, "admin", user).await.map(drop)
}

fn dsn(servers: &Servers, database: &str, login: &str, password: &str) -> Result<Dsn> {
    let mut endpoints = servers.ports().map(|port| Endpoint {
        host: "127.0.0.1".to_owned(),
        port,
    });
    let first = endpoints.next().context("no server")?;
    let mut address = Address::new(first, SslMode::Disable).with_scheme(Scheme::Mongo);
    address.others = endpoints.collect();
    address.parameters = vec![("authSource".to_owned(), "admin".to_owned())];
    let set = servers.set_name();
    let set = set.map(|name| ("replicaSet".to_owned(), name));
    address.parameters.extend(set);
    Ok(Dsn {
        address,
        database: name(database),
        credential: Credential {
            login: Login::try_from(login)?,
            password: password.into(),
        },
    })
}

pub(crate) fn name(text: &str) -> DatabaseName {
    DatabaseName::try_from(text).unwrap()
}

pub(crate) fn password() -> SecretString {
    Generator.fresh(Policy::Alphanumeric).unwrap()
}

/// A claim, and what a controller would do for it.
#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) wishes: Wishes,
}

impl Claim {
    pub(crate) fn new(user: &str) -> Self {
        let claim = ClaimId {
            kind: ClaimKind::Claim,
            namespace: "shop".to_owned(),
            name: user.to_owned(),
            uid: format!("uid-of-{user}"),
        };
        let timing = Timing {
            period: Duration::from_hours(1),
            overlap: None,
            max_overlap: None,
            is_paused: false,
            asked: Asked::default(),
        };
        Self {
            wishes: Wishes {
                share: None,
                drift: DriftPolicy::Repair,
                claim,
                mode: Mode::Create,
                role: RoleName::try_from(user).unwrap(),
                renamed_from: None,
                former_roles: Vec::new(),
                timing,
                extensions: Vec::new(),
                are_extensions_explicit: false,
                permitted_extensions: None,
                system_functions: Vec::new(),
                wants_replication: false,
                elevation: Elevation::Denied,
                bounds: None,
                password: Policy::Alphanumeric,
                secret: SecretShape::default(),
                engine: Engine::Mongo,
                access: Access::default(),
            },
        }
    }

    pub(crate) fn adopting(mut self) -> Self {
        self.wishes.mode = Mode::Adopt;
        self
    }

    pub(crate) fn also_on(mut self, database: &str) -> Self {
        self.wishes.access.others.push(name(database));
        self
    }

    pub(crate) fn with_role(mut self, role: &str, database: &str) -> Self {
        let wish = RoleWish {
            role: role.to_owned(),
            database: Some(name(database)),
        };
        self.wishes.access.roles.push(wish);
        self
    }

    pub(crate) fn per_database(mut self) -> Self {
        self.wishes.access.is_per_database = true;
        self
    }

    pub(crate) fn logins(&self) -> LoginPair {
        self.wishes.logins()
    }

    pub(crate) fn mark(&self) -> Mark {
        self.wishes.claim.mark()
    }

    pub(crate) fn key(&self) -> i64 {
        self.wishes.claim.lock_key()
    }

    pub(crate) fn question(&self) -> Question {
        self.wishes.question(&name("orders"))
    }

    pub(crate) fn steps(&self, catalog: Catalog) -> Result<Vec<ServerStep>> {
        let observed = Observed {
            secret: None,
            login: None,
            catalog,
            published: Proof::NotAsked,
            recorded: Recorded::default(),
        };
        Ok(decide::structure(&self.wishes, &name("orders"), &observed)?)
    }

    /// One pass over the structure. Returns what had to be done.
    pub(crate) async fn provision(&self, session: &mut Locked) -> Result<Vec<ServerStep>> {
        let catalog = session.observe(&self.question()).await?;
        let steps = self.steps(catalog.clone())?;
        session.apply(&steps, &catalog).await?;
        Ok(steps)
    }

    /// Steps 4 and 5 of a rotation.
    pub(crate) async fn set(
        &self,
        stage: &Stage,
        session: &mut Locked,
        login: &Login,
    ) -> Result<SecretString> {
        let password = password();
        self.set_to(session, login, &password).await?;
        stage.logs_in(login, &password).await?;
        Ok(password)
    }

    /// Step 4 with this password.
    pub(crate) async fn set_to(
        &self,
        session: &mut Locked,
        login: &Login,
        password: &SecretString,
    ) -> Result<()> {
        let catalog = session.observe(&self.question()).await?;
        let role = catalog.roles.get(login.as_str()).context("no login")?;
        let (mark, seen) = (self.mark().attempt("7"), role.comment.as_deref());
        Ok(session.set_password(login, password, &mark, seen).await?)
    }
}

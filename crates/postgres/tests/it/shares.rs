//! What the three roles of a schema may do and what they may not, tried by logging in.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use engine::{
    catalog::{Catalog, Question},
    mark::Mark,
    names::{Login, LoginPair, RoleName, SchemaName},
    share::{Level, SchemaGrant, Share},
    step::ServerStep,
    wishes::{ClaimId, ClaimKind},
};
use postgres::Shared;
use sqlx::PgConnection;
use testkit::postgres::{Dsn, connect, query, run_in};

use crate::stage::{Claim, Stage, everywhere};

/// A role claim of the stage's claim.
struct Tenant {
    claim: Claim,
    share: Share,
}

impl Tenant {
    fn new(source: &Claim, name: &str, map: &[(&str, Level)]) -> Result<Self> {
        let role = RoleName::try_from(format!("{name}_user"))?;
        let schemas = map.iter().map(|(schema, level)| {
            let schema = SchemaName::try_from(*schema)?;
            anyhow::Ok((schema, *level))
        });
        Ok(Self {
            claim: Claim {
                logins: LoginPair::of_role(&role),
                role,
                database: source.database.clone(),
                mark: Mark::new(format!("dbroleclaim:shop/{name}"), name),
            },
            share: Share {
                source: ClaimId {
                    kind: ClaimKind::Claim,
                    namespace: "shop".to_owned(),
                    name: "orders".to_owned(),
                    uid: source.mark.uid.clone(),
                },
                owner: source.role.clone(),
                is_made: true,
                schemas: schemas.collect::<Result<_>>()?,
                recorded: Vec::new(),
            },
        })
    }

    async fn observe(&self, stage: &Stage) -> Result<Catalog> {
        let mut question = self.claim.question();
        question.roles.extend(self.share.candidates());
        let Question { .. } = question;
        Ok(stage.session().await?.observe(&question).await?)
    }

    /// Makes role, logins and memberships.
    async fn enter(&self, stage: &Stage) -> Result<()> {
        let catalog = self.observe(stage).await?;
        let (role, mark) = (self.claim.role.clone(), self.claim.mark.clone());
        let mut steps = vec![ServerStep::CreateOwner {
            role: role.clone(),
            mark: mark.clone(),
        }];
        for login in self.claim.logins.both() {
            let (login, role, mark) = (login.clone(), role.clone(), mark.clone());
            let schemas = self.share.schemas.keys().cloned().collect();
            steps.extend([
                ServerStep::CreateLogin {
                    login: login.clone(),
                    role: role.clone(),
                    mark,
                },
                ServerStep::JoinOwner {
                    login: login.clone(),
                    role: role.clone(),
                },
                ServerStep::AssumeOwner {
                    login: login.clone(),
                    role,
                },
                ServerStep::SearchPath { login, schemas },
            ]);
        }
        for SchemaGrant { role: carrier, .. } in self.share.grants(&catalog, &[])? {
            if !catalog.roles.contains_key(carrier.as_str()) {
                steps.push(ServerStep::CreateSchemaRole {
                    role: carrier.clone(),
                    mark: self.share.mark(),
                });
            }
            steps.push(ServerStep::JoinSchemaRole {
                member: role.clone(),
                role: carrier,
            });
        }
        let mut session = stage.session().await?;
        Ok(session.apply(&steps, &catalog).await?)
    }

    /// Brings the rights in the database to what is wanted.
    async fn furnish(&self, stage: &Stage) -> Result<Shared> {
        let catalog = self.observe(stage).await?;
        let grants = self.share.grants(&catalog, &[])?;
        let wanted = self.share.wanted(&catalog, &self.claim.role, &grants);
        let mut inside = stage.session_in(&self.claim.database).await?;
        let existing = inside.existing_schemas(self.share.spellings()).await?;
        Ok(inside.share(&wanted, &existing, &catalog).await?)
    }

    /// A connection string of a login.
    async fn log_in(&self, stage: &Stage, login: &Login) -> Result<Dsn> {
        let session = stage.session().await?;
        let password = self.claim.set_password(session, login, 17).await?;
        let dsn = stage.server.dsn(login.as_str(), password);
        Ok(dsn.database(self.claim.database.as_str()))
    }
}

async fn run(dsn: &Dsn, sql: &str) -> Result<()> {
    query(&dsn.url(), sql).await.map(drop)
}

/// What the owner has in a schema: everything that the attempts need, under one suffix.
fn objects(schema: &str, suffix: &str) -> String {
    format!(
        "CREATE TABLE {schema}.t{suffix} (id int PRIMARY KEY, note text);
         INSERT INTO {schema}.t{suffix} VALUES (1, 'one');
         CREATE VIEW {schema}.v{suffix} AS SELECT id FROM {schema}.t{suffix};
         CREATE SEQUENCE {schema}.s{suffix};
         CREATE FUNCTION {schema}.open{suffix}() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION {schema}.closed{suffix}(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         REVOKE EXECUTE ON FUNCTION {schema}.closed{suffix}(int) FROM PUBLIC;
         CREATE FUNCTION {schema}.fire{suffix}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    )
}

/// Attempts with who may: readonly, regular, admin. `#` is the suffix of the objects.
const ATTEMPTS: [(&str, [bool; 3]); 37] = [
    ("SELECT * FROM sales.t#", [true, true, true]),
    ("SELECT * FROM sales.v#", [true, true, true]),
    ("SELECT last_value FROM sales.s#", [true, true, true]),
    ("SELECT nextval('sales.s#')", [false, true, true]),
    ("SELECT setval('sales.s#', 7)", [false, true, true]),
    (
        "INSERT INTO sales.t# VALUES (2, 'two')",
        [false, true, true],
    ),
    ("UPDATE sales.t# SET note = 'x'", [false, true, true]),
    ("DELETE FROM sales.t#", [false, true, true]),
    ("TRUNCATE sales.t#", [false, false, true]),
    (
        "CREATE TABLE sales.mine (id int REFERENCES sales.t#)",
        [false, false, true],
    ),
    (
        "CREATE TRIGGER x BEFORE INSERT ON sales.t# FOR EACH ROW EXECUTE FUNCTION sales.fire#()",
        [false, false, true],
    ),
    ("CREATE TABLE sales.mine (id int)", [false, true, true]),
    (
        "CREATE VIEW sales.mine AS SELECT 1 AS one",
        [false, true, true],
    ),
    ("CREATE SEQUENCE sales.mine", [false, true, true]),
    (
        "CREATE FUNCTION sales.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        [false, true, true],
    ),
    ("SELECT sales.open#()", [true, true, true]),
    ("SELECT sales.closed#(1)", [false, false, true]),
    (
        "ALTER TABLE sales.t# ADD COLUMN more int",
        [false, false, false],
    ),
    (
        "ALTER TABLE sales.t# OWNER TO CURRENT_USER",
        [false, false, false],
    ),
    ("DROP TABLE sales.t# CASCADE", [false, false, false]),
    ("DROP FUNCTION sales.open#()", [false, false, false]),
    ("CREATE INDEX ON sales.t# (note)", [false, false, false]),
    ("COMMENT ON TABLE sales.t# IS 'x'", [false, false, false]),
    ("DROP SCHEMA sales CASCADE", [false, false, false]),
    ("ALTER SCHEMA sales RENAME TO other", [false, false, false]),
    ("CREATE SCHEMA another", [false, false, false]),
    (
        "CREATE TEMPORARY TABLE short (id int)",
        [false, false, false],
    ),
    ("SELECT * FROM private.t#", [false, false, false]),
    ("INSERT INTO private.t# VALUES (3)", [false, false, false]),
    ("SELECT private.open#()", [false, false, false]),
    ("SELECT nextval('private.s#')", [false, false, false]),
    ("CREATE TABLE private.mine (id int)", [false, false, false]),
    ("SELECT lo_get(4711)", [false, false, false]),
    ("SELECT lo_unlink(4711)", [false, false, false]),
    ("SET ROLE clerk", [false, false, false]),
    ("SELECT rolpassword FROM pg_authid", [false, false, false]),
    ("CREATE ROLE friend", [false, false, false]),
];

const LEVELS: [Level; 3] = [Level::Readonly, Level::Regular, Level::Admin];

/// Whether the statement is let through; refused for any reason but a missing right is an error.
async fn may(session: &mut PgConnection, statement: &str) -> Result<bool> {
    run_in(session, "BEGIN").await?;
    let outcome = run_in(session, statement).await;
    run_in(session, "ROLLBACK").await?;
    let Err(err) = outcome else { return Ok(true) };
    let text = format!("{err:#}");
    let words = ["permission denied", "must be owner", "must be member"];
    let is_refusal = words.iter().any(|words| text.contains(words));
    ensure!(is_refusal, "{statement}: {text}");
    Ok(false)
}

/// Everything that a login of that level might try.
async fn try_all(login: &Dsn, level: Level) -> Result<()> {
    let mut session = connect(&login.url()).await?;
    for (statement, allowed) in ATTEMPTS {
        let by_level = LEVELS.into_iter().zip(allowed);
        let expected = by_level
            .into_iter()
            .any(|(of, allowed)| of == level && allowed);
        for suffix in ["_old", "_new"] {
            let statement = statement.replace('#', suffix);
            let is_allowed = may(&mut session, &statement).await?;
            ensure!(
                is_allowed == expected,
                "{level:?} {statement}: {is_allowed}"
            );
        }
    }
    let by_path = may(&mut session, "SELECT * FROM t_made").await?;
    ensure!(by_path, "by the search path");
    let elsewhere = login.clone().database("stock");
    ensure!(
        run(&elsewhere, "SELECT 1").await.is_err(),
        "another database"
    );
    Ok(())
}

#[tokio::test]
async fn row_34_each_role_may_do_exactly_what_is_listed_on_old_and_new_objects() -> Result<()> {
    everywhere(async |stage| {
        let source = Claim::new("clerk", "orders")?;
        source.create(&mut stage.session().await?).await?;
        let other = Claim::new("stock", "stock")?;
        other.create(&mut stage.session().await?).await?;
        let owner = source
            .set_password(stage.session().await?, &source.logins.a, 17)
            .await?;
        let owner = stage.server.dsn(source.logins.a.as_str(), owner);
        let owner = owner.database("orders");
        let made = "CREATE SCHEMA sales; CREATE SCHEMA private; SELECT lo_create(4711)";
        run(&owner, made).await?;
        // What the original left: everything to PUBLIC and to a role that should only read.
        let early = "GRANT USAGE ON SCHEMA sales TO PUBLIC";
        run(&owner, early).await?;
        for schema in ["sales", "private"] {
            run(&owner, &objects(schema, "_old")).await?;
        }
        run(
            &owner,
            "GRANT SELECT ON ALL TABLES IN SCHEMA sales TO PUBLIC",
        )
        .await?;

        let mut tenants = Vec::new();
        for (name, level) in ["reader", "writer", "boss"].into_iter().zip(LEVELS) {
            let tenant = Tenant::new(&source, name, &[("sales", level)])?;
            tenant.enter(stage).await?;
            tenants.push(tenant);
        }
        let too_many = "GRANT ALL ON sales.t_old TO sales_readonly;
            GRANT ALL ON SCHEMA private TO sales_readonly;
            ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT ALL ON TABLES TO sales_readonly";
        run(&owner, too_many).await?;
        for tenant in &tenants {
            let done = tenant.furnish(stage).await?;
            assert_eq!(done.unreachable, [""; 0]);
        }
        for tenant in &tenants {
            let done = tenant.furnish(stage).await?;
            assert_eq!((done.granted, done.revoked), (0, 0), "rights are stable");
        }
        for schema in ["sales", "private"] {
            run(&owner, &objects(schema, "_new")).await?;
            let closed = "FUNCTION private.open_new() FROM PUBLIC";
            run(&owner, &format!("REVOKE EXECUTE ON {closed}"))
                .await
                .ok();
        }
        // What another role claim makes is everybody's by level, and the owner's too.
        let writer = &tenants[1];
        let url = writer.log_in(stage, &writer.claim.logins.a).await?;
        run(&url, &objects("sales", "_made")).await?;
        run(
            &owner,
            "SELECT * FROM sales.t_made; INSERT INTO sales.t_made VALUES (9)",
        )
        .await?;

        for (level, tenant) in LEVELS.into_iter().zip(&tenants) {
            for login in tenant.claim.logins.both() {
                try_all(&tenant.log_in(stage, login).await?, level).await?;
            }
        }
        // The other login can use and change what the first made: both are one role.
        let url = writer.log_in(stage, &writer.claim.logins.b).await?;
        run(&url, "ALTER TABLE sales.t_made ADD COLUMN more int").await?;
        assert_eq!(stage.memberships_of_admin().await?, "0");
        Ok(())
    })
    .await
}

/// Schemas that break whoever forgets to quote.
#[tokio::test]
async fn row_35_schemas_of_any_name_are_made_as_they_are_called() -> Result<()> {
    let stage = Stage::new(crate::stage::Rank::Owner).await?;
    let source = Claim::new("clerk", "orders")?;
    source.create(&mut stage.session().await?).await?;
    let names: Vec<_> = testkit::names::hostile(63);
    let map: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), Level::Regular))
        .collect();
    let tenant = Tenant::new(&source, "reports", &map)?;
    tenant.enter(&stage).await?;
    tenant.furnish(&stage).await?;
    let again = tenant.furnish(&stage).await?;
    assert_eq!((again.granted, again.revoked), (0, 0));
    let mut inside = stage.session_in(&source.database).await?;
    let existing = inside.existing_schemas(names.iter().cloned()).await?;
    assert_eq!(existing, names.iter().cloned().collect::<BTreeSet<_>>());
    let catalog = tenant.observe(&stage).await?;
    let found = &catalog.roles[tenant.claim.logins.a.as_str()].search_path;
    let wished = tenant.share.schemas.keys().map(SchemaName::as_str);
    assert!(found.iter().map(String::as_str).eq(wished), "{found:?}");
    let url = tenant.log_in(&stage, &tenant.claim.logins.b).await?;
    for name in &names {
        let quoted = name.replace('"', "\"\"");
        run(&url, &format!("CREATE TABLE \"{quoted}\".t (id int)"))
            .await
            .with_context(|| format!("in schema {name:?}"))?;
    }
    Ok(())
}

/// Roles and logins of the same names, beside each other and beside what was there.
#[tokio::test]
async fn roles_and_logins_of_any_name_are_made_as_they_are_called() -> Result<()> {
    let stage = Stage::new(crate::stage::Rank::Owner).await?;
    let before = "SELECT string_agg(rolname || rolsuper::text, ',' ORDER BY rolname) FROM pg_roles";
    let before = format!("{before} WHERE rolname NOT IN (SELECT name FROM mine)");
    stage
        .run("postgres", "CREATE TABLE mine (name text)")
        .await?;
    let known = stage.ask("postgres", &before).await?;
    for name in testkit::names::hostile(61) {
        let claim = Claim::new(&name, "orders")?;
        let mut session = stage.session().await?;
        let catalog = claim.observe(&mut session).await?;
        let is_role = |step: &ServerStep| {
            !matches!(
                step,
                ServerStep::CreateDatabase { .. } | ServerStep::OwnDatabase { .. }
            )
        };
        let steps: Vec<_> = claim.creation().into_iter().filter(is_role).collect();
        session.apply(&steps, &catalog).await?;
        let catalog = claim.observe(&mut session).await?;
        for login in claim.logins.both() {
            let login = &catalog.roles[login.as_str()];
            assert_eq!(login.member_of, [name.as_str()]);
            assert_eq!(login.session_role.as_deref(), Some(name.as_str()));
        }
        let names = [
            &name,
            &claim.logins.a.to_string(),
            &claim.logins.b.to_string(),
        ];
        for name in names.map(|name| name.replace('\'', "''")) {
            let note = format!(
                "INSERT INTO mine VALUES (E'{}')",
                name.replace('\\', "\\\\")
            );
            stage.run("postgres", &note).await?;
        }
    }
    assert_eq!(stage.ask("postgres", &before).await?, known);
    let made = "SELECT count(*) FROM pg_roles JOIN mine ON rolname = name";
    assert_eq!(stage.ask("postgres", made).await?, "600");
    Ok(())
}

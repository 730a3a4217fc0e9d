//! Inside a claim's database: rights on what was there before, extensions, system functions.

use anyhow::Result;
use engine::{
    catalog::Grant,
    step::{DatabaseStep, ServerStep},
    wishes::SystemFunction,
};
use testkit::postgres::{execute, query_one};

use crate::stage::{Claim, Rank, Stage, everywhere};

/// A database that the admin owns, with tables of its own and of others.
async fn adopted(stage: &Stage) -> Result<Claim> {
    let claim = Claim::new("clerk", "orders")?;
    let mut session = stage.session().await?;
    let catalog = claim.observe(&mut session).await?;
    let steps: Vec<_> = claim
        .creation()
        .into_iter()
        .filter(|step| !matches!(step, ServerStep::OwnDatabase { .. }))
        .collect();
    session.apply(&steps, &catalog).await?;
    let admin = stage.admin.credential.login.as_str();
    stage
        .run(
            "orders",
            &format!(
                r#"CREATE ROLE other;
                CREATE TABLE "Item's" (id serial, name text);
                ALTER TABLE "Item's" OWNER TO "{admin}";
                CREATE VIEW names AS SELECT 1 AS one; ALTER VIEW names OWNER TO "{admin}";
                CREATE TABLE locked (id int); ALTER TABLE locked OWNER TO other;
                CREATE TABLE mine (id int); ALTER TABLE mine OWNER TO clerk"#
            ),
        )
        .await?;
    Ok(claim)
}

#[tokio::test]
async fn row_26_only_missing_rights_are_granted_and_the_rest_is_named() -> Result<()> {
    everywhere(async |stage| {
        let claim = adopted(stage).await?;
        let role = claim.role.clone();
        let mut inside = stage.session_in(&claim.database).await?;
        let login = &stage.admin.credential.login;
        let before = stage.statements_of(login)?;
        let contents = inside.observe_contents(&role, &[], &[]).await?;
        assert_eq!(stage.statements_of(login)? - before, 1);

        let is_superuser = login.as_str() == "postgres";
        let grants = &contents.missing_grants;
        assert!(grants.contains(&Grant::Database));
        assert!(grants.contains(&Grant::Table("Item's".to_owned())));
        assert!(grants.contains(&Grant::Table("names".to_owned())));
        assert!(grants.contains(&Grant::Sequence("Item's_id_seq".to_owned())));
        assert!(!grants.contains(&Grant::Table("mine".to_owned())));
        assert_eq!(
            grants.contains(&Grant::Table("locked".to_owned())),
            is_superuser
        );
        let named = contents
            .unreachable_objects
            .contains(&"public.locked".to_owned());
        assert_eq!(named, !is_superuser);

        let grants = contents.missing_grants;
        let failures = inside
            .apply_contents(&[DatabaseStep::Grant {
                role: role.clone(),
                grants,
            }])
            .await?;
        assert_eq!(failures, []);
        let contents = inside.observe_contents(&role, &[], &[]).await?;
        assert_eq!(contents.missing_grants, []);

        let password = claim
            .set_password(stage.session().await?, &claim.logins.a, 17)
            .await?;
        let dsn = stage
            .server
            .dsn(claim.logins.a.as_str(), password)
            .database("orders");
        let work = r#"INSERT INTO "Item's" (name) VALUES ('a'); CREATE TABLE mine2 (id int)"#;
        execute(&dsn.url(), work).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_27_extensions_come_where_the_server_has_them_and_the_rest_is_reported() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        claim.create(&mut stage.session().await?).await?;
        let wanted = [
            "citext",
            "uuid-ossp",
            "pgcrypto",
            "hstore",
            "plpgsql",
            "pg_stat_statements",
        ];
        let mut wanted: Vec<String> = wanted.map(str::to_owned).into();
        let unknown = "no'such\"extension".to_owned();
        wanted.push(unknown.clone());
        let mut inside = stage.session_in(&claim.database).await?;
        let found = inside
            .observe_contents(&claim.role, &wanted, &[])
            .await?
            .extensions;
        let is_superuser = stage.admin.credential.login.as_str() == "postgres";
        assert!(found["plpgsql"].is_installed);
        assert!(!found["citext"].is_installed && found["citext"].can_install);
        assert_eq!(found["pg_stat_statements"].can_install, is_superuser);
        assert!(found["citext"].is_trusted && !found["pg_stat_statements"].is_trusted);
        assert!(!found.contains_key(&unknown));

        let create = |extension: &String| DatabaseStep::CreateExtension {
            extension: extension.clone(),
        };
        let steps: Vec<_> = wanted.iter().map(create).collect();
        let failures = inside.apply_contents(&steps).await?;
        let failed: Vec<_> = failures
            .iter()
            .map(|failure| failure.extension.as_str())
            .collect();
        let mut want = vec!["pg_stat_statements", unknown.as_str()];
        if is_superuser {
            want.remove(0);
        }
        assert_eq!(failed, want, "{failures:?}");
        let found = inside
            .observe_contents(&claim.role, &wanted, &[])
            .await?
            .extensions;
        assert!(found["citext"].is_installed && found["uuid-ossp"].is_installed);
        let schema = "SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'citext'";
        assert_eq!(stage.ask("orders", schema).await?, "public");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn row_29_system_functions_say_their_text_to_everybody() -> Result<()> {
    everywhere(async |stage| {
        let claim = Claim::new("clerk", "orders")?;
        claim.create(&mut stage.session().await?).await?;
        let mut inside = stage.session_in(&claim.database).await?;
        for value in ["prod", r"it's a 'back\slash'"] {
            let function = SystemFunction {
                schema: "ib".to_owned(),
                name: "Life cycle".to_owned(),
                value: value.to_owned(),
            };
            let SystemFunction {
                schema,
                name,
                value,
            } = function.clone();
            let step = DatabaseStep::CreateSystemFunction {
                schema,
                name,
                value,
            };
            inside.apply_contents(&[step]).await?;
            let found = inside
                .observe_contents(&claim.role, &[], &[function])
                .await?;
            let found = &found.system_functions["ib.Life cycle"];
            let password = claim
                .set_password(stage.session().await?, &claim.logins.a, 17)
                .await?;
            let dsn = stage
                .server
                .dsn(claim.logins.a.as_str(), password)
                .database("orders");
            let said = query_one(&dsn.url(), r#"SELECT ib."Life cycle"()"#).await?;
            assert_eq!(said, *found);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_function_of_a_tenant_is_never_called() -> Result<()> {
    let stage = Stage::new(Rank::Superuser).await?;
    let claim = adopted(&stage).await?;
    // A better match than the catalog's own, if only the path let it be found.
    let traps = "CREATE FUNCTION public.json_build_array(text, text) RETURNS json LANGUAGE plpgsql
          AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
        CREATE SCHEMA ib; CREATE FUNCTION ib.trap() RETURNS text LANGUAGE plpgsql
          AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$";
    stage.run("orders", traps).await?;
    let mut inside = stage.session_in(&claim.database).await?;
    let trap = SystemFunction {
        schema: "ib".to_owned(),
        name: "trap".to_owned(),
        value: String::new(),
    };
    let contents = inside.observe_contents(&claim.role, &[], &[trap]).await?;
    assert!(contents.system_functions["ib.trap"].contains("trapped"));
    Ok(())
}

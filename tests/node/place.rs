//! A namespace of one story, with a claim on a database that pods reach.

use anyhow::Result;
use serde_json::json;
use testkit::names;
use testkit::postgres::{PostgresAccess, execute};

use crate::support::{Stage, Texts, existing, merge, own, uri};
use crate::world::{CLASS, World};

/// Every claim of the stories has this name.
pub(crate) const CLAIM: &str = "identity";

pub(crate) struct Place<'a> {
    pub(crate) world: &'a World,
    pub(crate) stage: Stage,
    pub(crate) class: String,
}

impl<'a> Place<'a> {
    pub(crate) async fn new(world: &'a World, name: &str) -> Result<Self> {
        Self::of_class(world, name, CLASS, &world.postgres).await
    }

    /// A claim of another release, or on another server.
    pub(crate) async fn of_class(
        world: &'a World,
        name: &str,
        class: &str,
        postgres: &PostgresAccess,
    ) -> Result<Self> {
        let namespace = format!("{name}-{}", names::random(6));
        world.control_plane.create_namespace(&namespace).await?;
        world.control_plane.admits_pods(&namespace).await?;
        let client = world.control_plane.client().await?;
        let stage = Stage { client, namespace };
        let admin = postgres.create_owner_admin().await?.dsn;
        let database = own("orders");
        postgres.create_database(&database, admin.login()).await?;
        let mut spec = existing(&own("clerk"), &admin.database(&database));
        merge(&mut spec, json!({ "class": class }));
        stage.claim(CLAIM, spec).await?;
        stage.ready(CLAIM).await?;
        let place = Self {
            world,
            stage,
            class: class.to_owned(),
        };
        let table = "CREATE TABLE lines (id bigserial PRIMARY KEY, n int);\
                     CREATE TABLE ended (at timestamptz)";
        execute(&uri(&place.secret().await?), table).await?;
        Ok(place)
    }

    pub(crate) async fn secret(&self) -> Result<Texts> {
        self.stage.secret(CLAIM).await
    }

    /// Tells the applications to come to an end.
    pub(crate) async fn end(&self) -> Result<()> {
        execute(
            &uri(&self.secret().await?),
            "INSERT INTO ended VALUES (now())",
        )
        .await
    }
}

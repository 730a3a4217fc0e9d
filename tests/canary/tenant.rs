//! A tenant on a shared server never gets the admin's password, not even in a Secret.

use anyhow::Result;
use api::names::secret_key as key;
use kube::api::ListParams;
use secrecy::ExposeSecret;
use serde_json::json;
use testkit::{env, names};

use super::passwords::{Canary, leaks};
use super::places::Place;
use crate::support::{Stage, log_in, own, texts};

#[tokio::test]
async fn row_79_the_admin_password_is_in_no_secret_of_the_tenants_namespace() -> Result<()> {
    env(async |env| {
        let home = Stage::of(env);
        let tenant = Stage {
            client: env.client(),
            namespace: format!("tenant-{}", names::random(8)),
        };
        env.cluster().create_namespace(&tenant.namespace).await?;
        let _controller = env.controller("").await?;
        let admin = env.create_owner_admin().await?;
        let more = json!({
            "port": env.postgres().port(), "allowedNamespaces": { "names": [tenant.namespace] },
        });
        let server = home.server("shared", &admin, more).await?;
        let (role, database) = (own("clerk"), own("orders"));
        env.adopt_database(&database);
        let spec = json!({
            "class": home.namespace, "reclaimPolicy": "Delete",
            "userName": role, "databaseName": database, "server": server,
        });
        tenant.claim("shop", spec).await?;
        tenant.ready("shop").await?;
        tenant.rotate("shop").await?;

        let secrets = tenant.secrets().list(&ListParams::default()).await?;
        let place = |secret| Place {
            name: "Secret".to_owned(),
            text: texts(secret).into_values().collect::<Vec<_>>().join("\n"),
        };
        let places: Vec<Place> = secrets.iter().map(place).collect();
        let published = tenant.secret("shop").await?;
        assert_eq!(log_in(&published).await?, role);
        let own = Canary::of("its own password", &published[key::PASSWORD]);
        assert_eq!(
            leaks(&places, &[own]).len(),
            1,
            "the search sees its Secret"
        );
        let admin = Canary::of("the admin's password", admin.password().expose_secret());
        assert_eq!(leaks(&places, &[admin]), Vec::<String>::new());
        // Nor is there any Secret beside the published one.
        assert_eq!(places.len(), 1);

        tenant.delete("shop").await?;
        env.cluster().delete_namespace(&tenant.namespace).await
    })
    .await
}

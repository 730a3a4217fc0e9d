//! The admin's connection string: what the claim or server says, completed from its Secret.

use api::{claim::DatabaseClaim, names::label};
use engine::{
    dsn::{Credential, Dsn},
    place::{Place, SecretName, Server},
    source::{self, SecretData},
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::{context::Context, error::Error, publish};

/// Reads what is needed, at the moment when it is needed: a changed admin password is seen by the
/// next attempt.
pub(crate) async fn dsn(
    context: &Context,
    claim: &DatabaseClaim,
    place: &Place,
) -> Result<Dsn, Error> {
    match place {
        Place::Server(server) => server_dsn(context, server).await,
        Place::Source { dsn, secret } => {
            let data = match secret {
                Some(name) => Some(secret_data(context, name).await?),
                None => None,
            };
            let request = source::Request {
                dsn: dsn.as_deref(),
                secret: data.as_ref(),
                user_name: &claim.spec.user_name,
                database_name: &claim.spec.database_name,
            };
            let dsn = source::admin_dsn(&request, context.config.load().default_ssl_mode)?;
            source::check_engine(&dsn, claim.spec.type_.as_deref().unwrap_or_default())?;
            Ok(dsn)
        }
    }
}

/// The admin's connection string for a server that is known to the controller: with the credential
/// that is rotated, as soon as there is one.
async fn server_dsn(context: &Context, server: &Server) -> Result<Dsn, Error> {
    match rotated_dsn(context, server).await? {
        Some(dsn) => Ok(dsn),
        None => initial_dsn(context, server).await,
    }
}

/// With the credential that the operator gave.
pub(crate) async fn initial_dsn(context: &Context, server: &Server) -> Result<Dsn, Error> {
    let data = secret_data(context, &server.admin.secret).await?;
    let credential =
        source::admin_credential(&data, &server.admin.login, &server.admin.password_key)?;
    Ok(dsn_of(server, credential))
}

/// With the credential that is rotated; `None` where none is, or its Secret was deleted.
pub(crate) async fn rotated_dsn(context: &Context, server: &Server) -> Result<Option<Dsn>, Error> {
    let Some(SecretName { namespace, name }) = &server.rotated else {
        return Ok(None);
    };
    let found = publish::read(&context.client, namespace, name).await?;
    let found = found.filter(|found| {
        let manager = found.stored.labels.get(label::MANAGED_BY);
        manager.is_some_and(|manager| manager == label::SERVER_MANAGER)
    });
    let credential = found.and_then(|found| found.stored.credentials().into_iter().next());
    Ok(credential.map(|credential| dsn_of(server, credential)))
}

pub(crate) fn dsn_of(server: &Server, credential: Credential) -> Dsn {
    Dsn {
        address: server.address.clone(),
        database: server.database.clone(),
        credential,
    }
}

async fn secret_data(context: &Context, name: &SecretName) -> Result<SecretData, Error> {
    let SecretName { namespace, name } = name;
    let secrets = Api::<Secret>::namespaced(context.client.clone(), namespace);
    let object = secrets
        .get_opt(name)
        .await
        .map_err(Error::kubernetes("return the admin's Secret"))?;
    let object = object.ok_or_else(|| Error::AdminSecretMissing {
        namespace: namespace.clone(),
        name: name.clone(),
    })?;
    Ok(publish::data(&object))
}

//! Every string that users and other programs know us by. Spellings are those of the original
//! controller, the misspelled ones too; nothing else may spell them out again.

/// API group of all our kinds.
pub const GROUP: &str = "persistance.atlas.infoblox.com";

/// Field manager of everything we write.
pub const FIELD_MANAGER: &str = "db-controller";

/// Name under which Events are reported.
pub const REPORTER: &str = "db-controller";

/// Class of a claim or controller that names none.
pub const DEFAULT_CLASS: &str = "default";

pub mod finalizer {
    pub const CLAIM: &str = "databaseclaims.persistance.atlas.infoblox.com/finalizer";
    pub const ROLE_CLAIM: &str = "dbroleclaims.persistance.atlas.infoblox.com/finalizer";
}

pub mod label {
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// Value of [`MANAGED_BY`] on the Secret of a claim.
    pub const CLAIM_MANAGER: &str = "db-controller";
    /// Value of [`MANAGED_BY`] on the Secret of a role claim.
    pub const ROLE_CLAIM_MANAGER: &str = "dbrole-controller";
    /// Value of [`MANAGED_BY`] on the Secret with the credential of a server's admin.
    pub const SERVER_MANAGER: &str = "db-server-controller";
}

pub mod annotation {
    /// On a claim: rotate once for each new value.
    pub const ROTATE: &str = "persistance.atlas.infoblox.com/rotate";
    /// On a claim: the number of a credential that nobody may use any more, nor an earlier one.
    pub const REVOKE: &str = "persistance.atlas.infoblox.com/revoke";
    /// On a claim: say once for each new value who is logged in, and what would be done.
    pub const INSPECT: &str = "persistance.atlas.infoblox.com/inspect";
    /// On a published Secret: whose it is.
    pub const CLAIM_NAME: &str = "persistance.atlas.infoblox.com/claim-name";
    pub const CLAIM_UID: &str = "persistance.atlas.infoblox.com/claim-uid";
    /// On a published Secret: how often its credential was replaced.
    pub const GENERATION: &str = "persistance.atlas.infoblox.com/rotation-generation";
    /// On a published Secret: when its credential was made.
    pub const ROTATED_AT: &str = "persistance.atlas.infoblox.com/rotated-at";
    /// On a published Secret: the login that was published before.
    pub const PREVIOUS_LOGIN: &str = "persistance.atlas.infoblox.com/previous-login";
    /// On a published Secret: the last value of [`ROTATE`] that was acted on.
    pub const HANDLED_ROTATE: &str = "persistance.atlas.infoblox.com/handled-rotate";
    /// On a published Secret: the keys that are ours, so that one which is no longer wished goes
    /// before its password ends.
    pub const KEYS: &str = "persistance.atlas.infoblox.com/published-keys";
    /// On the Secret of a role claim: the claim, `namespace/name`, whose Secret it is a copy of.
    pub const COPY_OF: &str = "persistance.atlas.infoblox.com/copy-of";
    /// On a published Secret: makes publications that began before it fail (see docs/architecture.md).
    pub const FENCE: &str = "persistance.atlas.infoblox.com/fence";
}

/// What a pod says about its sidecars, and what the webhook says back.
pub mod pod {
    /// Label: a DatabaseClaim or DbRoleClaim in the pod's namespace.
    pub const CLAIM: &str = "persistance.atlas.infoblox.com/claim";
    /// Label: the class of the controller that injects.
    pub const CLASS: &str = "persistance.atlas.infoblox.com/class";
    /// Labels, with [`ENABLED`]: which sidecars are wished.
    pub const DBPROXY: &str = "persistance.atlas.infoblox.com/dbproxy";
    pub const DSNEXEC: &str = "persistance.atlas.infoblox.com/dsnexec";
    /// Label, or annotation for longer names: the Secret with the configuration of dsnexec.
    pub const DSNEXEC_CONFIG: &str = "persistance.atlas.infoblox.com/dsnexec-config";
    pub const ENABLED: &str = "enabled";

    /// Annotations that the webhook sets to [`INJECTED`].
    pub const INJECTED_DBPROXY: &str = "persistance.atlas.infoblox.com/injected-dbproxy";
    pub const INJECTED_DSNEXEC: &str = "persistance.atlas.infoblox.com/injected-dsnexec";
    pub const INJECTED: &str = "true";
    /// Annotation: what the pod should say instead of its deprecated annotations.
    pub const DEPRECATION_MESSAGES: &str = "persistance.atlas.infoblox.com/deprecation-messages";

    /// The injected proxy: its container, the volume with the Secret, and the variable that says at
    /// which port of the pod it tells how it is.
    pub const DBPROXY_CONTAINER: &str = "dbproxy";
    pub const DBPROXY_VOLUME: &str = "dbproxydsn";
    pub const DBPROXY_HEALTH_PORT: &str = "DBPROXY_HEALTH_PORT";

    /// Start of the annotations that tune one pod's dbproxy or dsnexec.
    pub const TUNE_DBPROXY: &str = "persistance.atlas.infoblox.com/dbproxy-";
    pub const TUNE_DSNEXEC: &str = "persistance.atlas.infoblox.com/dsnexec-";

    /// Annotations from before the labels: names of Secrets, the first with an optional `/key`.
    pub const OLD_DB_SECRET_PATH: &str = "infoblox.com/db-secret-path";
    pub const OLD_REMOTE_DB_DSN: &str = "infoblox.com/remote-db-dsn-secret";
    pub const OLD_DSNEXEC_CONFIG: &str = "infoblox.com/dsnexec-config-secret";
}

/// A label that a claim must have before it may be deleted.
pub mod deletion {
    pub const LABEL: &str = "persistance.atlas.infoblox.com/allow-deletion";
    pub const ALLOWED: &str = "enabled";
}

/// Where the webhook is served; registrations of the original name the same paths.
pub mod webhook_path {
    pub const MUTATE_POD: &str = "/mutate--v1-pod";
    pub const CONVERT_POD: &str = "/convert-deprecated-pod";
    pub const GUARD_CLAIM: &str = "/validate-persistance-atlas-infoblox-com-v1-databaseclaim";
    pub const GUARD_ROLE_CLAIM: &str = "/validate-persistance-atlas-infoblox-com-v1-dbroleclaim";
}

/// Keys of the published Secret.
pub mod secret_key {
    pub const DSN: &str = "dsn.txt";
    pub const URI_DSN: &str = "uri_dsn.txt";
    pub const READ_ONLY_URI_DSN: &str = "ro_uri_dsn.txt";
    pub const HOSTNAME: &str = "hostname";
    pub const PORT: &str = "port";
    pub const DATABASE: &str = "database";
    pub const USERNAME: &str = "username";
    pub const PASSWORD: &str = "password";
    pub const SSL_MODE: &str = "sslmode";
    pub const CA: &str = "ca.crt";
    // Service Binding specification 1.1.0, "well-known secret entries", and what clients ask for.
    pub const TYPE: &str = "type";
    pub const PROVIDER: &str = "provider";
    pub const HOST: &str = "host";
    pub const URI: &str = "uri";
    pub const JDBC_URI: &str = "jdbc-uri";
    pub const PGPASS: &str = "pgpass";
    /// How often the credential was replaced; what a proxy says it uses is compared with it.
    pub const GENERATION: &str = "generation";
    // MongoDB: what its clients and its own operator's users look for.
    pub const HOSTS: &str = "hosts";
    pub const REPLICA_SET: &str = "replicaSet";
    pub const AUTH_SOURCE: &str = "authSource";
    pub const TLS: &str = "tls";
    pub const CONNECTION_STRING: &str = "connectionString.standard";
    pub const CONNECTION_STRING_SRV: &str = "connectionString.standardSrv";
    // The files of `secretTemplate.formats`, ours only in the Secrets of who asks for them.
    pub const DOTENV: &str = ".env";
    pub const SPRING: &str = "application.properties";
    pub const DJANGO: &str = "django.json";
    pub const NODE: &str = "node.json";

    /// What the keys of MongoDB's further connection strings begin with.
    pub const URI_OF: &str = "uri.";

    /// The key of the connection string for one of several databases; `None` where the database's
    /// name can't be in a key.
    pub fn uri_of(database: &str) -> Option<String> {
        Some(format!("{URI_OF}{database}")).filter(|key| is_fit(key))
    }

    /// Whether a Secret may have this key (Kubernetes API, `Secret.data`).
    pub fn is_fit(key: &str) -> bool {
        const LONGEST: usize = 253;
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_folder = key == "." || key.starts_with("..");
        !key.is_empty() && key.len() <= LONGEST && !is_folder && key.chars().all(is_fit)
    }

    /// Every key that the controller may publish unasked, beside those of further databases.
    pub const ALL: [&str; 23] = [
        DSN,
        URI_DSN,
        READ_ONLY_URI_DSN,
        HOSTNAME,
        PORT,
        DATABASE,
        USERNAME,
        PASSWORD,
        SSL_MODE,
        CA,
        TYPE,
        PROVIDER,
        HOST,
        URI,
        JDBC_URI,
        PGPASS,
        GENERATION,
        HOSTS,
        REPLICA_SET,
        AUTH_SOURCE,
        TLS,
        CONNECTION_STRING,
        CONNECTION_STRING_SRV,
    ];
}

/// The Lease that the leader of a class holds. The default class uses the original's name, so that
/// the original and we never lead together.
pub fn lease(class: &str) -> String {
    const LEASE: &str = "32151587.atlas.infoblox.com";
    if class == DEFAULT_CLASS {
        LEASE.to_owned()
    } else {
        format!("{class}.{LEASE}")
    }
}

/// The Secret with the admin's credential of a DatabaseServer, once it is rotated.
pub fn admin_secret(server: &str) -> String {
    format!("db-controller-admin-{server}")
}

/// The class that a `class` field means: unset and empty are the default class.
pub fn class_of(field: Option<&str>) -> &str {
    field
        .filter(|class| !class.is_empty())
        .unwrap_or(DEFAULT_CLASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_5_empty_and_unset_are_the_default_class() {
        assert_eq!(class_of(None), "default");
        assert_eq!(class_of(Some("")), "default");
        assert_eq!(class_of(Some("blue")), "blue");
    }

    #[test]
    fn row_86_the_default_class_shares_the_lease_of_the_original() {
        assert_eq!(lease("default"), "32151587.atlas.infoblox.com");
        assert_eq!(lease("blue"), "blue.32151587.atlas.infoblox.com");
    }
}

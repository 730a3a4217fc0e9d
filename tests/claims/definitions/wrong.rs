//! Objects that the rules of the definitions refuse, each with the sentence.

use super::{CLAIMS, ROLE_CLAIMS, SERVERS};

/// What is merged over a sound spec, and the sentence that refuses it.
pub(super) const WRONG: [(&str, &str, &str); 29] = [
    (CLAIMS, r#"{"userName": ""}"#, "userName must not be empty"),
    (
        CLAIMS,
        r#"{"userName": "sixty-two-characters-are-one-too-many-for-the-owner-role-name!"}"#,
        "userName is too long",
    ),
    (
        CLAIMS,
        r#"{"databaseName": ""}"#,
        "databaseName must not be empty",
    ),
    (
        CLAIMS,
        r#"{"databaseName": "sixty-four-characters-are-one-too-many-for-the-name-of-databases"}"#,
        "databaseName is too long",
    ),
    (
        CLAIMS,
        r#"{"type": "oracle"}"#,
        "type must be one of postgres",
    ),
    (
        CLAIMS,
        r#"{"dsnName": "a/b"}"#,
        "dsnName must be a valid Secret key",
    ),
    (
        CLAIMS,
        r#"{"secretName": "Not_A_Name"}"#,
        "secretName must be a valid Secret name",
    ),
    (
        CLAIMS,
        r#"{"preferredMaintenanceWindow": "sunday"}"#,
        "preferredMaintenanceWindow must look like",
    ),
    (
        CLAIMS,
        r#"{"rotation": {"period": "soon"}}"#,
        "period must be a positive duration",
    ),
    (
        CLAIMS,
        r#"{"rotation": {"period": 0}}"#,
        "period must be a positive duration",
    ),
    (
        CLAIMS,
        r#"{"rotation": {"overlap": "-1h"}}"#,
        "overlap must be a positive duration",
    ),
    (
        CLAIMS,
        r#"{"rotation": {"maxOverlap": "0h"}}"#,
        "maxOverlap must be a positive duration",
    ),
    (
        CLAIMS,
        r#"{"secretTemplate": {"labels": {"app.kubernetes.io/managed-by": "me"}}}"#,
        "the label app.kubernetes.io/managed-by is the controller's own",
    ),
    (
        CLAIMS,
        r#"{"secretTemplate": {"annotations": {"persistance.atlas.infoblox.com/rotate": "1"}}}"#,
        "annotations of persistance.atlas.infoblox.com are the controller's own",
    ),
    (
        CLAIMS,
        r#"{"secretTemplate": {"type": "a type"}}"#,
        "secretTemplate.type must be a type of Secrets",
    ),
    (
        ROLE_CLAIMS,
        r#"{"secretTemplate": {"type": "bootstrap.kubernetes.io/token"}}"#,
        "only kubernetes.io/basic-auth has the keys",
    ),
    (
        CLAIMS,
        r#"{"useExistingSource": true}"#,
        "useExistingSource is true, so sourceDataFrom must say",
    ),
    (
        CLAIMS,
        r#"{"sourceDataFrom": {"type": "s3"}}"#,
        "sourceDataFrom.type must be 'database'",
    ),
    (
        CLAIMS,
        r#"{"sourceDataFrom": {"type": "database"}}"#,
        "so sourceDataFrom.database must be set",
    ),
    (
        CLAIMS,
        r#"{"sourceDataFrom": {"type": "database", "database": {"dsn": ""}}}"#,
        "sourceDataFrom.database needs dsn, secretRef or both",
    ),
    (
        CLAIMS,
        r#"{"sourceDataFrom": {"type": "database", "database": {"dsn": "mysql://a/b"}}}"#,
        "dsn must be a URI such as",
    ),
    (
        CLAIMS,
        r#"{"minStorageGB": 20, "maxStorageGB": 20}"#,
        "maxStorageGB must be greater than minStorageGB",
    ),
    (
        SERVERS,
        r#"{"engine": "oracle"}"#,
        "engine must be one of postgres",
    ),
    (
        SERVERS,
        r#"{"host": "pg1/orders"}"#,
        "host must be a name or an address",
    ),
    (
        SERVERS,
        r#"{"caBundle": "MIIB"}"#,
        "caBundle must be PEM text",
    ),
    (
        SERVERS,
        r#"{"tripwire": {"grace": "soon"}}"#,
        "grace must be a positive duration",
    ),
    (
        SERVERS,
        r#"{"adminRotation": {"period": "soon"}}"#,
        "period must be a positive duration",
    ),
    (
        ROLE_CLAIMS,
        r#"{"schemarolemap": {"public": "owner"}}"#,
        "each role of schemarolemap must be one of",
    ),
    (
        ROLE_CLAIMS,
        r#"{"secretName": "Not_A_Name"}"#,
        "secretName must be a valid Secret name",
    ),
];

/// What is merged over a sound spec, the forbidden change after it, and its sentence.
pub(super) const WRONG_CHANGES: [(&str, &str, &str, &str); 6] = [
    (
        CLAIMS,
        r#"{"maxStorageGB": 50}"#,
        r#"{"maxStorageGB": 40}"#,
        "maxStorageGB can't be made smaller or removed",
    ),
    (
        CLAIMS,
        r#"{"maxStorageGB": 60}"#,
        r#"{"maxStorageGB": null}"#,
        "maxStorageGB can't be made smaller or removed",
    ),
    (
        CLAIMS,
        r#"{"minStorageGB": 20}"#,
        r#"{"minStorageGB": 10}"#,
        "minStorageGB can't be made smaller",
    ),
    (
        CLAIMS,
        "{}",
        r#"{"authDatabase": "PerDatabase"}"#,
        "authDatabase can't be changed",
    ),
    (
        CLAIMS,
        r#"{"authDatabase": "PerDatabase"}"#,
        r#"{"authDatabase": null}"#,
        "authDatabase can't be changed",
    ),
    (
        SERVERS,
        r#"{"engine": "postgres"}"#,
        r#"{"engine": "aurora-postgresql"}"#,
        "engine can't be changed",
    ),
];

//! Step 3: the sidecars themselves. Names of containers, volumes and mounts are the original's.

use api::names::pod as names;
use k8s_openapi::{
    api::core::v1::{
        Container, EmptyDirVolumeSource, EnvVar, SecretVolumeSource, Volume, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{Port, Sidecar, harden};
use crate::{
    known::{Engine, Published},
    settings::{Common, Dbproxy, Dsnexec, Settings},
};

const DSNEXEC: &str = "dsnexec";

/// The proxy: listens on loopback, follows the Secret, writes its files to memory.
pub(super) fn dbproxy(settings: &Settings, published: &Published) -> Sidecar {
    let Dbproxy {
        common,
        port,
        dsn_key,
        pool_mode,
        pool_size,
        max_clients,
    } = &settings.dbproxy;
    let pool_mode: &str = pool_mode.into();
    let (engine, usual_port) = match published.engine {
        Engine::Postgres => ("postgres", 5432),
        Engine::Mongo => ("mongodb", 27017),
    };
    let port = port.unwrap_or(usual_port);
    let mut env = vec![
        variable("DBPROXY_CREDENTIAL", format!("/dbproxy/{dsn_key}")),
        variable("DBPROXY_ENGINE", engine.to_owned()),
        variable("DBPROXY_PORT", port.to_string()),
        variable("DBPROXY_POOL_MODE", pool_mode.to_owned()),
    ];
    env.extend(common_env("DBPROXY", common));
    env.extend(pool_size.map(|size| variable("DBPROXY_POOL_SIZE", size.to_string())));
    env.extend(max_clients.map(|count| variable("DBPROXY_MAX_CLIENTS", count.to_string())));
    Sidecar {
        marker: names::INJECTED_DBPROXY,
        volumes: vec![
            secret_volume(names::DBPROXY_VOLUME, &published.secret),
            memory_volume("dbproxy-run"),
        ],
        container: Container {
            env: Some(env),
            volume_mounts: Some(vec![
                read_only(names::DBPROXY_VOLUME, "/dbproxy"),
                writable("dbproxy-run", "/var/run/dbproxy"),
            ]),
            ..harden::container(
                names::DBPROXY_CONTAINER,
                common,
                settings.run_as,
                settings.probes,
            )
        },
        ports: vec![
            moved_by(port, names::TUNE_DBPROXY, "port"),
            moved_by(common.health_port, names::TUNE_DBPROXY, "health-port"),
        ],
    }
}

/// The executor: reads the Secret and its own configuration, both as files.
pub(super) fn dsnexec(settings: &Settings, secret: &str, config: &str) -> Sidecar {
    let Dsnexec { common } = &settings.dsnexec;
    let credential = format!("/var/run/db-dsn/{}", api::names::secret_key::URI_DSN);
    let mut env = vec![variable("DBPROXY_CREDENTIAL", credential)];
    env.extend(common_env("DSNEXEC", common));
    let args = ["run", "--config-file", "/var/run/dsn-exec/config.yaml"];
    Sidecar {
        marker: names::INJECTED_DSNEXEC,
        volumes: vec![
            secret_volume("db-dsn", secret),
            secret_volume("dsnexec-config", config),
            memory_volume("dsnexec-tmp"),
        ],
        container: Container {
            args: Some(args.map(str::to_owned).to_vec()),
            env: Some(env),
            volume_mounts: Some(vec![
                read_only("db-dsn", "/var/run/db-dsn"),
                read_only("dsnexec-config", "/var/run/dsn-exec"),
                writable("dsnexec-tmp", "/tmp"),
            ]),
            ..harden::container(DSNEXEC, common, settings.run_as, settings.probes)
        },
        ports: vec![moved_by(
            common.health_port,
            names::TUNE_DSNEXEC,
            "health-port",
        )],
    }
}

fn common_env(prefix: &str, common: &Common) -> [EnvVar; 2] {
    let log_level: &str = common.log_level.into();
    [
        variable(
            &format!("{prefix}_HEALTH_PORT"),
            common.health_port.to_string(),
        ),
        variable(&format!("{prefix}_LOG_LEVEL"), log_level.to_owned()),
    ]
}

fn variable(name: &str, value: String) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    }
}

fn moved_by(number: u16, prefix: &str, key: &str) -> Port {
    Port {
        number,
        annotation: format!("{prefix}{key}"),
    }
}

fn secret_volume(name: &str, secret: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Passwords are written there: memory, never a disk.
fn memory_volume(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(Quantity("16Mi".to_owned())),
        }),
        ..Volume::default()
    }
}

fn read_only(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..writable(volume, path)
    }
}

fn writable(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

//! What dbproxy takes on MongoDB: operations per second and latency beside a direct connection, its
//! memory, and whether any of it grows through an hour's worth of rotations.

mod load;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use secrecy::SecretString;
use testkit::mongod::{Servers, Shape, client_of, run as command};
use testkit::wait::wait_for;

use self::load::{DATABASE, Load, Measured, SIZES};
use super::report::{Aim, Figure, Report, median};
use super::sidecar::{self, Sidecar};
use super::{Effort, say};

const CLIENTS: [usize; 3] = [1, 16, 64];
const LOGINS: [&str; 2] = ["clerk_a", "clerk_b"];
const SOURCE: &str = "dbclaims";

/// Connections of the application while memory is looked at.
const CONNECTIONS: u32 = 200;

/// One a minute for an hour.
const ROTATIONS: usize = 60;

/// What 500 operations a second are in a minute.
const OPERATIONS: usize = 30_000;

pub(super) async fn run(effort: Effort) -> Result<Report> {
    tokio::task::spawn_blocking(sidecar::build).await??;
    let mut report = Report::new("mongo-proxy", effort);
    let servers = Servers::start(Shape::Set(1)).await?;
    let root = servers.root()?;
    let first = credential(&servers, &root, 0).await?;
    let sidecar = Sidecar::start(&first, &[("DBPROXY_ENGINE", "mongodb")]).await?;
    let proxied: SecretString = format!("mongodb://127.0.0.1:{}/{DATABASE}", sidecar.port()).into();
    let ways = [("direct", &first), ("through dbproxy", &proxied)];

    load::fill(&client_of(&first).await?).await?;
    for size in SIZES {
        for clients in CLIENTS {
            let mut measured = [const { Vec::new() }; 2];
            // In turns, so that whatever slows the machine slows both alike.
            for _ in 0..effort.runs {
                for ((name, uri), measured) in ways.iter().zip(&mut measured) {
                    let load = Load::new(size, clients, effort.is_quick);
                    let one = load.measure(uri).await?;
                    say(&format!("{size}, {clients} clients, {name}: {one}"));
                    measured.push(one);
                }
            }
            add(&mut report, (size, clients), &measured);
        }
    }
    for (name, uri) in ways {
        let what = format!("a new client for an operation, {name}");
        let time = new_clients(uri, effort).await?;
        report.figures.push(Figure::new(what, "ms", time));
    }
    memory(&mut report, &sidecar, &proxied).await?;
    hour(&mut report, (&servers, &root, &sidecar), &proxied, effort).await?;
    report.notes.extend(
        [
            "operations: find by _id with the Rust driver, one client with so many connections in use; set of one member, no TLS, all on this machine's cores",
            "memory: proportional set size of dbproxy",
        ]
        .map(str::to_owned),
    );
    sidecar.stop().await?;
    Ok(report)
}

/// Gives the login of this rotation another password; what the Secret holds from then on.
async fn credential(servers: &Servers, root: &Client, rotation: usize) -> Result<SecretString> {
    let login = LOGINS.into_iter().cycle().nth(rotation % LOGINS.len());
    let login = login.context("no login")?;
    let password = format!("password-{rotation}");
    let set = servers.set_name().context("no set")?;
    let port = servers.ports().next().context("no member")?;
    let roles = [doc! { "role": "readWrite", "db": DATABASE }];
    let verb = if rotation < LOGINS.len() {
        "createUser"
    } else {
        "updateUser"
    };
    let change = doc! { verb: login, "pwd": &password, "roles": &roles };
    command(root, SOURCE, change).await?;
    let place = format!("127.0.0.1:{port}/{DATABASE}?authSource={SOURCE}&replicaSet={set}");
    Ok(format!("mongodb://{login}:{password}@{place}").into())
}

fn add(report: &mut Report, (size, clients): (load::Size, usize), measured: &[Vec<Measured>; 2]) {
    let [direct, through] = measured.each_ref().map(|all| {
        let of = |part: fn(&Measured) -> f64| median(&all.iter().map(part).collect::<Vec<_>>());
        Measured {
            per_second: of(|one| one.per_second),
            p50: of(|one| one.p50),
            p99: of(|one| one.p99),
        }
    });
    let what = format!("{size}, {clients} clients");
    let is_small = size == load::Size::Small;
    let figure = |text: &str, unit, value| Figure::new(format!("{what}: {text}"), unit, value);
    let aimed = |figure: Figure, aim, is_aimed| if is_aimed { figure.aim(aim) } else { figure };
    let share = 100.0 * through.per_second / direct.per_second;
    report.figures.extend([
        figure("direct", "1/s", direct.per_second),
        aimed(
            figure("through dbproxy, of direct", "%", share),
            Aim::AtLeast(55.0),
            is_small && clients == 16,
        ),
        figure("p50, direct", "ms", direct.p50),
        aimed(
            figure("p50, added", "ms", through.p50 - direct.p50),
            Aim::AtMost(0.045),
            is_small && clients == 1,
        ),
        figure("p99, direct", "ms", direct.p99),
        figure("p99, times direct", "", through.p99 / direct.p99).aim(Aim::AtMost(2.5)),
    ]);
}

/// Milliseconds from nothing to the answer of the first operation.
async fn new_clients(uri: &SecretString, effort: Effort) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..if effort.is_quick { 5 } else { 200 } {
        let started = Instant::now();
        let client = client_of(uri).await?;
        load::one(&client, load::Size::Small).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        client.shutdown().await;
    }
    Ok(median(&times))
}

async fn memory(report: &mut Report, sidecar: &Sidecar, uri: &SecretString) -> Result<()> {
    let idle = sidecar.memory()?;
    let client = load::with_connections(uri, CONNECTIONS).await?;
    wait_for("all connections", async || {
        let open = metric(sidecar, "mongo_proxy_client_connections").await?;
        ensure!(open >= f64::from(CONNECTIONS), "{open} connections");
        Ok(Some(()))
    })
    .await?;
    load::Load::new(load::Size::Small, CONNECTIONS as usize, true)
        .measure_with(&client)
        .await?;
    let busy = sidecar.memory()?;
    client.shutdown().await;
    let figure = |what: String, value| Figure::new(what, "MiB", value);
    report.figures.extend([
        figure("memory after the load".to_owned(), idle),
        figure(format!("memory with {CONNECTIONS} connections"), busy).aim(Aim::AtMost(40.0)),
    ]);
    Ok(())
}

/// Rotations under load: what dbproxy and the server hold after some of them, and after all.
async fn hour(
    report: &mut Report,
    (servers, root, sidecar): (&Servers, &Client, &Sidecar),
    uri: &SecretString,
    effort: Effort,
) -> Result<()> {
    let rotations = if effort.is_quick { 6 } else { ROTATIONS };
    let client = client_of(uri).await?;
    let load = Load::new(load::Size::Small, 16, true);
    let mut early = (0.0, 0.0);
    for rotation in 1..=rotations {
        let next = credential(servers, root, rotation).await?;
        sidecar.publish(&next)?;
        load.count(&client, OPERATIONS).await?;
        if rotation == rotations / 6 {
            early = (sidecar.memory()?, connections(root).await?);
        }
    }
    let late = (sidecar.memory()?, connections(root).await?);
    client.shutdown().await;
    let when = |count: usize| format!("{count} rotations under load");
    report.figures.extend([
        Figure::new(
            format!("memory after {}", when(rotations / 6)),
            "MiB",
            early.0,
        ),
        Figure::new(format!("memory after {}", when(rotations)), "MiB", late.0)
            .aim(Aim::AtMost(early.0 + 1.0)),
        Figure::new(
            format!("connections of the logins after {}", when(rotations / 6)),
            "",
            early.1,
        ),
        Figure::new(
            format!("connections of the logins after {}", when(rotations)),
            "",
            late.1,
        )
        .aim(Aim::AtMost(early.1)),
    ]);
    Ok(())
}

/// Connections to the server that are logged in with a login of the claim, once those of older
/// logins have gone.
async fn connections(root: &Client) -> Result<f64> {
    let mut last = -1;
    wait_for("connections of older logins to end", async || {
        let stages = [
            doc! { "$currentOp": { "allUsers": true, "idleConnections": true } },
            doc! { "$match": { "effectiveUsers.db": SOURCE } },
            doc! { "$count": "number" },
        ];
        let ask = doc! { "aggregate": 1, "pipeline": &stages, "cursor": {} };
        let answer = command(root, "admin", ask).await?;
        let batch = answer.get_document("cursor")?.get_array("firstBatch")?;
        let counted = batch.first().and_then(Bson::as_document);
        let number = counted.map_or(Ok(0), |counted: &Document| counted.get_i32("number"))?;
        let is_steady = number == last;
        last = number;
        Ok(is_steady.then_some(f64::from(number)))
    })
    .await
}

async fn metric(sidecar: &Sidecar, name: &str) -> Result<f64> {
    let text = sidecar.get("/metrics").await?;
    let values = text.lines().filter(|line| line.starts_with(name));
    let values = values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    Ok(values.sum())
}

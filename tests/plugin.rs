//! `kubectl dbclaim` on a live control plane, on a terminal of 80 columns: what it prints is what
//! its documentation shows.

mod scripts;

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use testkit::TestEnv;
use testkit::assets::programs::Program;
use testkit::assets::{self, workspace};
use testkit::env;
use testkit::postgres::{PostgresServer, connect};
use testkit::process::Workdir;
use testkit::wait::wait_for;

use crate::role_claims::RoleClaims;
use crate::support::{Stage, condition_of, uri};
use api::conditions::Type;
use api::names::secret_key;

/// How a terminal is told that a line is empty again: after a progress bar.
const CLEARED: &str = "\u{1b}[2K";

/// So much of a line that was cut is compared.
const CUT: usize = 50;

/// Where the commands run: a namespace with claims of every kind.
struct Scene {
    stage: Stage,
    kubeconfig: Arc<Workdir>,
    /// What the test has named otherwise than the documentation.
    names: Vec<(String, &'static str)>,
    /// What stands in the place of words of the documented commands.
    replaced: Vec<(String, &'static str)>,
}

impl Scene {
    fn command(&self, arguments: &str) -> Result<String> {
        let program = Program::Plugin.binary()?;
        let kubeconfig = self.kubeconfig.join("kubeconfig");
        let psql = assets::postgres::binaries(assets::postgres::DEFAULT_MAJOR)?;
        Ok(format!(
            "PATH={}:$PATH {} --kubeconfig {} --namespace {} {arguments}",
            psql.display(),
            program.display(),
            kubeconfig.display(),
            self.stage.namespace
        ))
    }

    /// The command with this run's names in the place of the documentation's.
    fn real(&self, command: &str) -> String {
        let mut command = command.to_owned();
        for (ours, theirs) in &self.replaced {
            command = command.replace(theirs, ours);
        }
        command
    }

    /// Runs a command as it is run in a pipe.
    fn run(&self, arguments: &str) -> Result<Output> {
        let command = self.command(arguments)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).output().context(command)
    }

    /// Runs a command on a terminal; all that is drawn there.
    fn drawn(&self, arguments: &str) -> Result<Output> {
        let command = format!("stty columns 80 rows 24; {}", self.command(arguments)?);
        Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .output()
            .context("cannot run script, of Debian's bsdutils")
    }

    /// Runs a command on a terminal; what stands there then.
    fn on_terminal(&self, arguments: &str) -> Result<String> {
        let output = self.drawn(arguments)?;
        ensure!(output.status.success(), "{arguments}: {output:?}");
        let drawn = String::from_utf8(output.stdout)?.replace('\r', "");
        let lines = drawn.lines();
        let lines = lines.map(|line| line.rsplit(CLEARED).next().unwrap_or_default());
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    fn json(&self, arguments: &str) -> Result<Value> {
        let output = self.run(&format!("{arguments} --output json"))?;
        ensure!(output.status.success(), "{arguments}: {output:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The text with the documentation's names, and without what differs from run to run: times,
    /// ports, versions, and the width of columns.
    fn told(&self, text: &str) -> Vec<String> {
        let mut text = text.to_owned();
        for (ours, theirs) in &self.names {
            text = text.replace(ours, theirs);
        }
        text.lines()
            .map(plain)
            .filter(|line| !line.is_empty())
            .collect()
    }
}

/// A line in which every number is `#`.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let digits = word.replace(|c: char| c.is_ascii_digit() || c == '.', "#");
        let mut plain = String::new();
        for c in digits.chars() {
            if !(c == '#' && plain.ends_with('#')) {
                plain.push(c);
            }
        }
        // An age may be told in another unit by now.
        let is_time = plain.len() == 2 && plain.starts_with('#');
        if is_time { "#".to_owned() } else { plain }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    // Where a line is cut moves with what stands before it.
    match line.strip_suffix('…') {
        Some(cut) => cut.chars().take(CUT).chain(['…']).collect(),
        None => line,
    }
}

/// Commands of the documentation, each with what it prints.
fn documented() -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(workspace().join("docs/kubectl-dbclaim.md"))?;
    let mut all = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").context("a block without end")?;
        for command in block.split("$ kubectl dbclaim ").skip(1) {
            let (command, printed) = command.split_once('\n').context("an empty command")?;
            all.push((command.to_owned(), printed.to_owned()));
        }
    }
    Ok(all)
}

/// Claims and role claims of every kind: ready, refused, and not served.
async fn populate(stage: &Stage, server: &str, class: &str) -> Result<()> {
    let made = |server: &str, class: &str| json!({ "userName": "clerk", "databaseName": "orders", "server": server, "class": class });
    stage.claim("orders", made(server, class)).await?;
    stage.ready("orders").await?;
    stage.claim("ledger", made("nowhere", class)).await?;
    let waits = |claim: &_| condition_of(claim, Type::Ready).is_some();
    stage
        .claim_when("ledger", "ledger to be refused", waits)
        .await?;
    stage.claim("archive", made(server, "blue")).await?;
    let role_claims = RoleClaims::of(stage);
    role_claims
        .create("reports", "orders", json!({ "class": class }))
        .await?;
    role_claims.ready("reports").await?;
    let map = json!({ "sales": "regular", "audit": "readonly" });
    let mapped = json!({ "class": class, "schemarolemap": map });
    role_claims.create("bi", "orders", mapped).await?;
    role_claims.ready("bi").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_prints_what_its_documentation_shows() -> Result<()> {
    env(async |env| {
        // Short names, as people give them: a table of 80 columns shows no longer ones.
        let stage = Stage {
            client: env.client(),
            namespace: env.neighbour().await?,
        };
        let config = format!("adminSecretNamespaces: [{}]\n", stage.namespace);
        let _controller = env.controller(&config).await?;
        let postgres = PostgresServer::builder().start().await?;
        let admin = postgres.create_owner_admin().await?.dsn;
        let port = json!({ "port": postgres.port() });
        let server = stage.server("main", &admin, port).await?;
        let class = env.namespace();
        populate(&stage, &server, class).await?;

        // A pod of a Deployment that is logged in with the first credential.
        let pod = till(env, &stage.namespace).await?;
        let _session = connect(&uri(&stage.secret("orders").await?)).await?;
        // A database without a claim.
        postgres.create_database("legacy", admin.login()).await?;
        let password = admin.password().expose_secret();
        stage
            .put_secret("legacy-admin", &[("password", password)])
            .await?;
        let (admin, port) = (admin.login(), postgres.port());
        let source = format!("'postgres://{admin}@localhost:{port}/legacy?sslmode=disable'");
        let replaced = vec![
            (source, "postgres://admin@pg1.internal/legacy"),
            (
                format!("--secret legacy-admin --class {class}"),
                "--secret legacy-admin",
            ),
        ];

        let kubeconfig = Workdir::new("plugin")?;
        kubeconfig.write("kubeconfig", &env.cluster().admin_kubeconfig()?)?;
        let names = vec![
            (server, "main"),
            (stage.namespace.clone(), "shop"),
            ("localhost".to_owned(), "pg1.internal"),
            ("::1".to_owned(), "10.0.0.7"),
            (pod, "till-6c9f8-x2k4p"),
        ];
        let scene = Scene {
            stage,
            kubeconfig,
            names,
            replaced,
        };
        let mut seen = BTreeSet::new();
        for (command, shown) in documented()? {
            let printed = scene.on_terminal(&scene.real(&command))?;
            let widest = printed.lines().map(|line| line.chars().count()).max();
            ensure!(widest.unwrap_or_default() <= 80, "{command}: {printed}");
            assert_eq!(
                scene.told(&printed),
                scene.told(&shown),
                "{command}:\n{printed}"
            );
            seen.extend(command.split_whitespace().next().map(str::to_owned));
        }
        ensure!(
            seen == scripts::COMMANDS.map(str::to_owned).into(),
            "{seen:?}"
        );
        scripts::say_json(&scene)?;
        scripts::end_as_documented(&scene)?;
        scripts::show_that_they_wait(&scene).await?;
        is_discreet(&scene).await
    })
    .await
}

/// A pod as a Deployment makes it, whose address is where the test's own sessions come from.
/// Returns its name.
async fn till(env: &TestEnv, namespace: &str) -> Result<String> {
    env.cluster().admits_pods(namespace).await?;
    let (create, patch) = (PostParams::default(), PatchParams::default());
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
    let nodes = Api::<Node>::all(env.client());
    let ours = PatchParams::apply("plugin-test");
    nodes.patch("n1", &ours, &Patch::Apply(node)).await?;
    let labels = json!({ "pod-template-hash": "6c9f8" });
    let set = json!({
        "metadata": { "name": "till-6c9f8" },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "nodeName": "n1", "containers": [{ "name": "till", "image": "till" }] },
        } },
    });
    let sets = Api::<ReplicaSet>::namespaced(env.client(), namespace);
    sets.create(&create, &serde_json::from_value(set)?).await?;
    let pods = Api::<Pod>::namespaced(env.client(), namespace);
    let pod = wait_for("the pod", async || {
        let all = pods.list(&ListParams::default()).await?;
        Ok(all.items.first().map(ResourceExt::name_any))
    });
    let pod = pod.await?;
    let addresses = json!([{ "ip": "127.0.0.1" }, { "ip": "::1" }]);
    let status = json!({ "status": {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": addresses,
    } });
    pods.patch_status(&pod, &patch, &Patch::Merge(status))
        .await?;
    Ok(pod)
}

/// What others on the machine can see of psql says no password.
async fn is_discreet(scene: &Scene) -> Result<()> {
    let look = r"connect orders -- -Xc '\! cat /proc/$PPID/cmdline /proc/$PPID/environ' 2>&1";
    let output = scene.run(look)?;
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && seen.contains("PGPASSFILE="),
        "{seen}"
    );
    let secret = scene.stage.secret("orders").await?;
    let password = secret.get(secret_key::PASSWORD).context("no password")?;
    ensure!(!seen.contains(password), "the password is seen");
    let failed = scene.run("connect orders -- -Xc 'SELECT 1/0' -v ON_ERROR_STOP=1")?;
    assert_eq!(failed.status.code(), Some(1));
    Ok(())
}

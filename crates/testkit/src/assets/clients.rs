//! The clients in other languages of dbproxy's tests, each with its driver from that language's
//! registry, kept beside the other assets. Where a language is missing there is an error that says
//! what to install.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::application;

use super::{cache, cached, progress, run, tools, workspace};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Python,
    Java,
    Go,
    Node,
}

/// What a client talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Mongodb,
}

impl Engine {
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Mongodb];

    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mongodb => "mongodb",
        }
    }
}

impl Language {
    pub const ALL: [Self; 4] = [Self::Python, Self::Java, Self::Go, Self::Node];

    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Java => "java",
            Self::Go => "go",
            Self::Node => "node",
        }
    }

    pub fn driver(self, engine: Engine) -> &'static str {
        match (self, engine) {
            (Self::Python, Engine::Postgres) => "psycopg",
            (Self::Java, Engine::Postgres) => "pgjdbc",
            (Self::Go, Engine::Postgres) => "pgx",
            (Self::Node, Engine::Postgres) => "node-postgres",
            (Self::Python, Engine::Mongodb) => "pymongo",
            (Self::Java, Engine::Mongodb) => "the Java sync driver",
            (Self::Go, Engine::Mongodb) => "the Go driver of MongoDB",
            (Self::Node, Engine::Mongodb) => "the Node.js driver of MongoDB",
        }
    }

    /// The client's command; it lacks its one argument, which says where the server is.
    pub fn client(self, engine: Engine) -> Result<Command> {
        let sources = self.sources(engine);
        match self {
            Self::Python => python(&sources.join("client.py")),
            Self::Java => self.program(engine, &sources.join("Client.java")),
            Self::Go => go(&sources, engine),
            Self::Node => self.program(engine, &sources.join("client.js")),
        }
    }

    /// Runs a program of one file with the client's driver.
    pub fn program(self, engine: Engine, program: &Path) -> Result<Command> {
        let sources = self.sources(engine);
        let mut command = match self {
            Self::Python => with_packages(&sources.join("requirements.txt"))?,
            Self::Java => java(&sources)?,
            Self::Go => anyhow::bail!("a program in Go is a folder, with a manifest of its own"),
            Self::Node => node(&sources)?,
        };
        command.arg(program);
        Ok(command)
    }

    fn sources(self, engine: Engine) -> PathBuf {
        let all = workspace().join("crates/dbproxy/tests/clients");
        all.join(engine.name()).join(self.name())
    }
}

impl Language {
    /// Lets the client work until all has `ended`; see [`application::work`].
    pub async fn work<T: DeserializeOwned>(
        self,
        engine: Engine,
        argument: &str,
        note: impl Fn(T),
        ended: watch::Receiver<bool>,
    ) -> Result<()> {
        let command = tokio::task::spawn_blocking(move || self.client(engine)).await??;
        application::work(command, argument, note, ended)
            .await
            .with_context(|| self.driver(engine))
    }
}

/// Runs `program` with the packages that the `requirements.txt` beside it names.
pub fn python(program: &Path) -> Result<Command> {
    let mut client = with_packages(&program.with_file_name("requirements.txt"))?;
    client.arg(program);
    Ok(client)
}

fn with_packages(requirements: &Path) -> Result<Command> {
    let packages = installed("python", requirements, |unfinished| {
        has("python3", "python3-pip")?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"]);
        pip.args(["--disable-pip-version-check", "--root-user-action=ignore"]);
        pip.arg("--target").arg(unfinished);
        run(pip.arg("--requirement").arg(requirements)).map(drop)
    })?;
    let mut client = Command::new("python3");
    client.env("PYTHONPATH", packages);
    Ok(client)
}

fn java(sources: &Path) -> Result<Command> {
    has("java", "default-jdk-headless")?;
    let pom = sources.join("pom.xml");
    let jars = installed("java", &pom, |unfinished| {
        has("mvn", "maven")?;
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(&pom);
        maven.arg("org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies");
        maven.arg(format!("-DoutputDirectory={}", unfinished.display()));
        run(maven.current_dir(folder())).map(drop)
    })?;
    let mut client = Command::new("java");
    client.args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    client.arg("-cp").arg(jars.join("*"));
    Ok(client)
}

fn go(sources: &Path, engine: Engine) -> Result<Command> {
    has("go", "golang-go")?;
    let program = folder().join(format!("go-{}", engine.name()));
    progress("building the client in Go, if anything changed");
    fs::create_dir_all(folder())?;
    let mut build = Command::new("go");
    build.current_dir(sources);
    build.args(["build", "-mod=readonly", "-o"]).arg(&program);
    run(build.arg("."))?;
    Ok(Command::new(program))
}

fn node(sources: &Path) -> Result<Command> {
    has("node", "nodejs")?;
    let manifest = sources.join("package.json");
    let packages = installed("node", &manifest, |unfinished| {
        has("npm", "npm")?;
        fs::create_dir_all(unfinished)?;
        fs::copy(&manifest, unfinished.join("package.json"))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund"]);
        npm.args(["--no-package-lock", "--ignore-scripts"]);
        run(npm.current_dir(unfinished)).map(drop)
    })?;
    let mut client = Command::new("node");
    client.env("NODE_PATH", packages.join("node_modules"));
    Ok(client)
}

/// A folder that `install` filled with what `manifest` names: another one when that changes.
fn installed(
    language: &str,
    manifest: &Path,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let mut text = DefaultHasher::new();
    fs::read(manifest)?.hash(&mut text);
    let name = format!("{language}-{:016x}", text.finish());
    cached(&folder().join(name), |unfinished| {
        progress(&format!("fetching what {} names", manifest.display()));
        install(unfinished)
    })
}

fn folder() -> PathBuf {
    cache().join("clients")
}

/// Installs the package of Debian where `program` is missing and that is possible.
fn has(program: &str, package: &str) -> Result<()> {
    if tools::is_on_path(program) {
        return Ok(());
    }
    anyhow::ensure!(
        tools::can_install(),
        "{program} must be on the PATH for the clients in other languages; Debian has it in {package}"
    );
    tools::apt_install(package)
}

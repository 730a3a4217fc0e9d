//! The clients in other languages of dbproxy's tests, each with its driver from that language's
//! registry, kept beside the other assets. Where a language is missing there is an error that says
//! what to install.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{cache, cached, progress, run, tools, workspace};

/// Of pgjdbc.
const PGJDBC: &str = "42.7.7";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Python,
    Java,
    Go,
    Node,
}

impl Language {
    pub const ALL: [Self; 4] = [Self::Python, Self::Java, Self::Go, Self::Node];

    pub fn driver(self) -> &'static str {
        match self {
            Self::Python => "psycopg",
            Self::Java => "pgjdbc",
            Self::Go => "pgx",
            Self::Node => "node-postgres",
        }
    }

    /// The client's command; it lacks the port, its one argument.
    pub fn client(self) -> Result<Command> {
        match self {
            Self::Python => python(),
            Self::Java => java(),
            Self::Go => go(),
            Self::Node => node(),
        }
    }

    fn sources(self) -> PathBuf {
        let folder = match self {
            Self::Python => "python",
            Self::Java => "java",
            Self::Go => "go",
            Self::Node => "node",
        };
        workspace()
            .join("crates/dbproxy/tests/clients")
            .join(folder)
    }
}

fn python() -> Result<Command> {
    has("python3", "python3-pip")?;
    let sources = Language::Python.sources();
    let requirements = sources.join("requirements.txt");
    let name = format!("python-{}", spelled(&fs::read_to_string(&requirements)?));
    let packages = cached(&folder().join(name), |unfinished| {
        progress("fetching psycopg");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"]);
        pip.args(["--disable-pip-version-check", "--root-user-action=ignore"]);
        pip.arg("--target").arg(unfinished);
        run(pip.arg("--requirement").arg(&requirements)).map(drop)
    })?;
    let mut client = Command::new("python3");
    client.env("PYTHONPATH", packages);
    client.arg(sources.join("client.py"));
    Ok(client)
}

fn java() -> Result<Command> {
    has("java", "default-jdk-headless")?;
    let jar = cached(&folder().join(format!("pgjdbc-{PGJDBC}")), |unfinished| {
        has("mvn", "maven")?;
        progress("fetching pgjdbc");
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode"]);
        maven.arg("org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy");
        maven.arg(format!("-Dartifact=org.postgresql:postgresql:{PGJDBC}"));
        maven.arg(format!("-DoutputDirectory={}", unfinished.display()));
        run(maven.current_dir(folder())).map(drop)
    })?;
    let mut client = Command::new("java");
    client.args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    client
        .arg("-cp")
        .arg(jar.join(format!("postgresql-{PGJDBC}.jar")));
    client.arg(Language::Java.sources().join("Client.java"));
    Ok(client)
}

fn go() -> Result<Command> {
    has("go", "golang-go")?;
    let program = folder().join("pgx-client");
    progress("building the client with pgx, if anything changed");
    fs::create_dir_all(folder())?;
    let mut build = Command::new("go");
    build.current_dir(Language::Go.sources());
    build.args(["build", "-mod=readonly", "-o"]).arg(&program);
    run(build.arg("."))?;
    Ok(Command::new(program))
}

fn node() -> Result<Command> {
    has("node", "nodejs")?;
    let sources = Language::Node.sources();
    let manifest = fs::read_to_string(sources.join("package.json"))?;
    let name = format!("node-{}", spelled(&manifest));
    let installed = cached(&folder().join(name), |unfinished| {
        has("npm", "npm")?;
        progress("fetching node-postgres");
        fs::create_dir_all(unfinished)?;
        fs::write(unfinished.join("package.json"), &manifest)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund"]);
        npm.args(["--no-package-lock", "--ignore-scripts"]);
        run(npm.current_dir(unfinished)).map(drop)
    })?;
    let mut client = Command::new("node");
    client.env("NODE_PATH", installed.join("node_modules"));
    client.arg(sources.join("client.js"));
    Ok(client)
}

fn folder() -> PathBuf {
    cache().join("clients")
}

/// Letters, digits and points, for a folder that is another one when a version changes.
fn spelled(text: &str) -> String {
    let is_kept = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '.';
    text.chars().filter(is_kept).collect()
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

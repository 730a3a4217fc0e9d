//! What krew does with the files, done by hand: the checksum, the archive's files, and a link that
//! kubectl finds.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::ensure;
use serde_json::{Value, json};
use testkit::assets::programs::Program;

use super::*;

#[test]
fn krew_finds_in_the_archive_what_the_manifest_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = Program::Plugin.binary()?;
    let out = folder.path().join("out");
    fs::create_dir_all(&out)?;
    let start = format!("{PROGRAM}-v{}", env!("CARGO_PKG_VERSION"));
    fs::write(out.join(format!("{start}-darwin-arm64.tar.gz")), "other")?;
    fs::write(out.join(format!("{PROGRAM}-v0.0.9-linux-amd64.tar.gz")), "")?;
    let Packed { archive, manifest } = pack(&program, &out)?;
    let text = fs::read_to_string(&manifest)?;
    ensure!(!text.contains(['{', '}']), "not filled in: {text}");
    let guide = fs::read_to_string(workspace().join("docs/kubectl-dbclaim.md"))?;
    ensure!(
        guide.contains(&format!("{start}-linux-amd64.tar.gz")),
        "another version"
    );
    let read: Value = serde_saphyr::from_str(&text)?;
    let at = |path: &str| read.pointer(path).cloned().unwrap_or_default();
    let name = PROGRAM.strip_prefix("kubectl-").context("no plugin")?;
    ensure!(manifest.ends_with(format!("{name}.yaml")));
    assert_eq!(at("/metadata/name"), json!(name));
    assert_eq!(at("/kind"), json!("Plugin"));
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(at("/spec/version"), json!(version));
    assert_eq!(at("/spec/homepage"), json!(env!("CARGO_PKG_REPOSITORY")));

    let platforms = at("/spec/platforms");
    let platforms = platforms.as_array().context("no platforms")?;
    let wanted = |archive: &Archive| json!({ "os": archive.os, "arch": archive.arch });
    let of = |archive: &Archive| {
        let mut all = platforms.iter();
        let found = all.find(|one| one["selector"]["matchLabels"] == wanted(archive));
        found.context("a platform is missing")
    };
    let all = Archive::all(&out)?;
    assert_eq!(
        (all.len(), platforms.len()),
        (2, 2),
        "another version's too"
    );
    for archive in &all {
        let platform = of(archive)?;
        assert_eq!(platform["sha256"], json!(archive.checksum()?));
        let uri = platform["uri"].as_str().unwrap_or_default();
        let release = format!("/releases/download/{version}/{}", archive.name());
        assert_eq!(uri, format!("{}{release}", env!("CARGO_PKG_REPOSITORY")));
    }
    installed(&archive, of(&archive)?, name, folder.path())
}

/// As krew installs: the named files of the archive, and a link to the program among them.
fn installed(archive: &Archive, platform: &Value, name: &str, folder: &Path) -> Result<()> {
    let (store, bin) = (folder.join("store"), folder.join("bin"));
    fs::create_dir_all(&store)?;
    fs::create_dir_all(&bin)?;
    let mut tar = Command::new("tar");
    tar.args(["-xzf"]).arg(&archive.path).arg("-C").arg(&store);
    testkit::assets::run(&mut tar)?;
    let files = platform["files"].as_array().context("no files")?.iter();
    let named: BTreeSet<_> = files.filter_map(|file| file["from"].as_str()).collect();
    let unpacked = fs::read_dir(&store)?.flatten();
    let unpacked: BTreeSet<_> = unpacked
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    ensure!(unpacked.iter().eq(named.iter()), "{unpacked:?}");
    let license = fs::read_to_string(store.join("LICENSE"))?;
    ensure!(license.contains("Apache License"));

    let program = platform["bin"].as_str().context("no program")?;
    let link = bin.join(format!("kubectl-{}", name.replace('-', "_")));
    symlink(store.join(program), &link)?;
    let help = testkit::assets::run(Command::new(&link).arg("--help"))?;
    ensure!(help.contains("Usage: kubectl dbclaim"), "{help}");
    let version = testkit::assets::run(Command::new(&link).arg("--version"))?;
    ensure!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    Ok(())
}

#[test]
fn the_same_program_gives_the_same_archive() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let checksum = |text: &str, out: &str| {
        let program = folder.path().join(out);
        fs::write(&program, text)?;
        let out = folder.path().join(format!("{out}-out"));
        pack(&program, &out)?;
        pack(&program, &out)?.archive.checksum()
    };
    let one = checksum("program", "one")?;
    assert_eq!(one, checksum("program", "other")?);
    assert_ne!(one, checksum("another program", "third")?);
    Ok(())
}

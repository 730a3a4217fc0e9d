//! `cargo xtask images`: the container images as tars, built without a Docker daemon.
//!
//! Each image is one layer with our program, the shared libraries that it needs, and little else.
//! The same input gives the same digest. Nothing is pushed and nothing is run here.

mod debian;
mod layer;
mod layout;
mod libraries;
mod recipe;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use debian::Debian;
use layer::Layer;
use layout::{Image, Platform};
use recipe::{RECIPES, Recipe};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build these only: db-controller, dbproxy, dsnexec
    names: Vec<String>,
    /// The folder to write NAME.tar to
    #[arg(long, default_value = "target/images")]
    out: PathBuf,
    /// What is put before the images' names
    #[arg(long, default_value = "localhost/")]
    prefix: String,
    /// The images' tag
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    tag: String,
    /// The cargo profile of our programs; `dev` is quick to build and large
    #[arg(long, default_value = "release")]
    profile: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let recipes = chosen(&args.names)?;
    let programs = build_programs(&recipes, &args.profile)?;
    let debian = Debian::fetch()?;
    let out = testkit::assets::workspace().join(&args.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    for recipe in recipes {
        let layer = layer_of(recipe, &programs, &debian)?;
        let image = Image {
            name: format!("{}{}:{}", args.prefix, recipe.name, args.tag),
            entrypoint: recipe.program_in_image(),
            platform: Platform::of_this_machine()?,
            layer: layer.to_tar()?,
        };
        let path = out.join(format!("{}.tar", recipe.name));
        let tar = image.to_tar()?;
        fs::write(&path, &tar).with_context(|| format!("cannot write {}", path.display()))?;
        println!(
            "{}  {}  {:.1} MB  {}",
            path.display(),
            image.name,
            megabytes(tar.len()),
            image.digest()?
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "printed with one decimal")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn chosen(names: &[String]) -> Result<Vec<&'static Recipe>> {
    if names.is_empty() {
        return Ok(RECIPES.iter().collect());
    }
    let find = |name: &String| {
        let found = RECIPES.iter().find(|recipe| recipe.name == name);
        found.with_context(|| format!("there is no image {name}"))
    };
    names.iter().map(find).collect()
}

/// Builds the programs and returns the folder that they are in.
fn build_programs(recipes: &[&Recipe], profile: &str) -> Result<PathBuf> {
    let mut cargo = testkit::assets::cargo();
    cargo.args(["build", "--locked", "--profile", profile]);
    for recipe in recipes {
        cargo.args(["--package", recipe.package, "--bin", recipe.binary]);
    }
    let status = cargo.status().context("cannot run cargo")?;
    anyhow::ensure!(status.success(), "cargo build failed ({status})");
    let folder = match profile {
        "dev" => "debug",
        other => other,
    };
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(
        || testkit::assets::workspace().join("target"),
        PathBuf::from,
    );
    Ok(target.join(folder))
}

fn layer_of(recipe: &Recipe, programs: &Path, debian: &Debian) -> Result<Layer> {
    let mut layer = Layer::with_account();
    layer.file("etc/ssl/certs/ca-certificates.crt", debian.authorities()?);
    let ours = programs.join(recipe.binary);
    let mut executables = vec![(ours, recipe.path)];
    for path in recipe.from_debian {
        executables.push((debian.path(path), path));
    }
    for (source, path) in executables {
        for library in libraries::of(&source, debian)? {
            layer.program_from(&library.in_image, &library.source)?;
        }
        layer.program_from(path, &source)?;
    }
    Ok(layer)
}

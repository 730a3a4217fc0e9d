//! `cargo xtask images`: the container images as tars, built without a Docker daemon.
//!
//! Each image is one layer with our program, the shared libraries that it needs, and little else.
//! The same input gives the same digest. Nothing is pushed and nothing is run here.

mod layer;
mod layout;
mod libraries;
mod recipe;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use layer::Layer;
pub(crate) use layer::append;
use layout::{Image, Platform};
use recipe::{CLIENT, Recipe, SHIPPED};

use crate::programs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build these only: db-controller, dbproxy, dsnexec; and testclient, which tests need
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
    let out = testkit::assets::workspace().join(&args.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    for recipe in recipes {
        let layer = layer_of(recipe, &programs)?;
        let image = Image {
            name: format!("{}{}:{}", args.prefix, recipe.name, args.tag),
            entrypoint: recipe.entrypoint,
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
        return Ok(SHIPPED.iter().collect());
    }
    let find = |name: &String| {
        let mut all = SHIPPED.iter().chain([&CLIENT]);
        let found = all.find(|recipe| recipe.name == name);
        found.with_context(|| format!("there is no image {name}"))
    };
    names.iter().map(find).collect()
}

fn build_programs(recipes: &[&Recipe], profile: &str) -> Result<PathBuf> {
    let ours = recipes.iter().filter_map(|recipe| recipe.ours.as_ref());
    programs::build(profile, ours.map(|ours| (ours.package, ours.binary)))
}

fn layer_of(recipe: &Recipe, programs: &Path) -> Result<Layer> {
    let debian = (recipe.debian)()?;
    let mut layer = Layer::with_account();
    if recipe.ours.is_some() {
        layer.file("etc/ssl/certs/ca-certificates.crt", debian.authorities()?);
    }
    let ours = recipe.ours.iter();
    let ours = ours.map(|program| (programs.join(program.binary), program.path));
    let debians = recipe.from_debian.iter();
    let debians = debians.map(|(source, path)| (debian.path(source), *path));
    for (source, path) in ours.chain(debians) {
        for library in libraries::of(&source, &debian)? {
            layer.program_from(&library.in_image, &library.source)?;
        }
        layer.program_from(path, &source)?;
    }
    Ok(layer)
}

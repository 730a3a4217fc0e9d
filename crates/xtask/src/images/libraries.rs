//! Which shared libraries a program needs, asked of the dynamic loader that the image will have.
//! Libraries that are opened at run time are not seen; glibc's own name services are built in.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use testkit::assets::debian::Debian;

pub(super) struct Library {
    pub(super) source: PathBuf,
    /// Without the leading slash.
    pub(super) in_image: String,
}

/// The libraries of `program`, all from `debian`, and the loader itself.
pub(super) fn of(program: &Path, debian: &Debian) -> Result<Vec<Library>> {
    let folder = debian.libraries();
    let loader = debian.loader();
    if is_static(program, &loader)? {
        return Ok(Vec::new());
    }
    let output = Command::new(&loader)
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("LD_PRELOAD")
        .arg("--library-path")
        .arg(&folder)
        .arg("--list")
        .arg(program)
        .output()
        .with_context(|| format!("cannot run {}", loader.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "{} lacks a library: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    resolved(&listed)
        .map(|(name, source)| locate(name, source, &folder))
        .collect()
}

/// ld.so(8): `--verify` says whether a program is one for the loader, which would crash otherwise.
fn is_static(program: &Path, loader: &Path) -> Result<bool> {
    let mut verify = Command::new(loader);
    let status = verify.arg("--verify").arg(program).status();
    let status = status.with_context(|| format!("cannot run {}", loader.display()))?;
    Ok(status.code() == Some(1))
}

/// Pairs of name and file from lines such as `libz.so.1 => /root/usr/lib/libz.so.1 (0x7f…)`.
fn resolved(listed: &str) -> impl Iterator<Item = (&str, &Path)> {
    listed.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" => ")?;
        let (file, _) = rest.rsplit_once(" (")?;
        Some((name, Path::new(file)))
    })
}

/// The loader keeps the absolute path that programs name; the others go where it looks by default.
fn locate(name: &str, source: &Path, folder: &Path) -> Result<Library> {
    anyhow::ensure!(
        source.starts_with(folder),
        "{name} is {}, which is not from the image's own libraries",
        source.display()
    );
    let in_image = match name.strip_prefix('/') {
        Some(loader) => loader.to_owned(),
        None => format!("usr/lib/{name}"),
    };
    Ok(Library {
        source: source.to_owned(),
        in_image,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "\
\tlinux-vdso.so.1 (0x00007f1ffabae000)
\tlibz.so.1 => /deb/usr/lib/x/libz.so.1 (0x00007f1ff9caa000)
\t/lib64/ld-linux-x86-64.so.2 => /deb/usr/lib/x/ld-linux-x86-64.so.2 (0x00007f1ffabb0000)
";

    #[test]
    fn libraries_are_found_and_the_kernels_own_is_left_out() {
        let folder = Path::new("/deb/usr/lib/x");
        let places: Vec<String> = resolved(LISTED)
            .map(|(name, source)| locate(name, source, folder).unwrap().in_image)
            .collect();
        assert_eq!(places, ["usr/lib/libz.so.1", "lib64/ld-linux-x86-64.so.2"]);
    }

    #[test]
    fn a_library_of_this_machine_is_refused() {
        let elsewhere = locate(
            "libz.so.1",
            Path::new("/usr/lib/libz.so.1"),
            Path::new("/deb"),
        );
        assert!(elsewhere.is_err());
    }
}

//! One image as an OCI layout in a tar, with the `manifest.json` of `docker save` beside it:
//! containerd, podman, skopeo and docker all load it.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};

use super::layer::{ACCOUNT, append};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// As the config of an image calls a machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Platform {
    architecture: &'static str,
}

impl Platform {
    pub(super) fn of_this_machine() -> Result<Self> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => anyhow::bail!("images are built on x86_64 and aarch64, not on {other}"),
        };
        Ok(Self { architecture })
    }
}

pub(super) struct Image {
    /// `repository:tag`.
    pub(super) name: String,
    pub(super) entrypoint: &'static [&'static str],
    pub(super) platform: Platform,
    pub(super) layer: Vec<u8>,
}

/// Bytes that others name by their digest.
struct Blob {
    hash: String,
    content: Vec<u8>,
}

impl Blob {
    fn new(content: Vec<u8>) -> Self {
        let hash = format!("{:x}", Sha256::digest(&content));
        Self { hash, content }
    }

    fn of(value: &Value) -> Result<Self> {
        Ok(Self::new(serde_json::to_vec(value)?))
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.hash)
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.hash)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({
            "mediaType": media_type,
            "digest": self.digest(),
            "size": self.content.len(),
        })
    }
}

struct Blobs {
    layer: Blob,
    config: Blob,
    manifest: Blob,
}

impl Image {
    /// What a registry calls this image, whatever its name.
    pub(super) fn digest(&self) -> Result<String> {
        Ok(self.blobs()?.manifest.digest())
    }

    pub(super) fn to_tar(&self) -> Result<Vec<u8>> {
        let Blobs {
            layer,
            config,
            manifest,
        } = self.blobs()?;
        let mut described = manifest.descriptor(MANIFEST);
        if let Some(fields) = described.as_object_mut() {
            fields.insert("annotations".to_owned(), self.annotations());
        }
        let index = json!({ "schemaVersion": 2, "manifests": [described] });
        let docker = json!([{
            "Config": config.path(),
            "RepoTags": [self.name],
            "Layers": [layer.path()],
        }]);
        let files = [
            (
                "oci-layout",
                &serde_json::to_vec(&json!({ "imageLayoutVersion": "1.0.0" }))?,
            ),
            ("index.json", &serde_json::to_vec(&index)?),
            ("manifest.json", &serde_json::to_vec(&docker)?),
            (&config.path(), &config.content),
            (&manifest.path(), &manifest.content),
            (&layer.path(), &layer.content),
        ];
        let mut tar = Builder::new(Vec::new());
        for folder in ["blobs/", "blobs/sha256/"] {
            append(&mut tar, folder, EntryType::Directory, 0o755, &[])?;
        }
        for (path, content) in files {
            append(&mut tar, path, EntryType::Regular, 0o644, content)?;
        }
        Ok(tar.into_inner()?)
    }

    fn blobs(&self) -> Result<Blobs> {
        let layer = Blob::new(self.layer.clone());
        let config = Blob::of(&json!({
            "architecture": self.platform.architecture,
            "os": "linux",
            "config": {
                "User": format!("{ACCOUNT}:{ACCOUNT}"),
                "Entrypoint": self.entrypoint,
                "Env": ["PATH=/usr/sbin:/usr/bin"],
                "WorkingDir": "/",
            },
            "rootfs": { "type": "layers", "diff_ids": [layer.digest()] },
        }))?;
        let manifest = Blob::of(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(CONFIG),
            "layers": [layer.descriptor(LAYER)],
        }))?;
        Ok(Blobs {
            layer,
            config,
            manifest,
        })
    }

    /// containerd takes the whole name from the first, podman and skopeo the tag from the second.
    fn annotations(&self) -> Value {
        let tag = self.name.rsplit_once(':').map_or("", |(_, tag)| tag);
        json!({
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": tag,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    fn image(name: &str, layer: &[u8]) -> Image {
        Image {
            name: name.to_owned(),
            entrypoint: &["/usr/bin/program"],
            platform: Platform {
                architecture: "amd64",
            },
            layer: layer.to_vec(),
        }
    }

    fn unpacked(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, content);
        }
        files
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_and_digest() {
        let (one, same) = (image("a:1", b"layer"), image("a:1", b"layer"));
        assert_eq!(one.to_tar().unwrap(), same.to_tar().unwrap());
        let renamed = image("b:2", b"layer");
        assert_eq!(one.digest().unwrap(), renamed.digest().unwrap());
        let other = image("a:1", b"other layer");
        assert_ne!(one.digest().unwrap(), other.digest().unwrap());
    }

    #[test]
    fn every_digest_names_a_blob_with_that_hash() {
        let files = unpacked(&image("a:1", b"layer").to_tar().unwrap());
        for (path, content) in &files {
            if let Some(hash) = path.strip_prefix("blobs/sha256/") {
                assert!(hash.is_empty() || Blob::new(content.clone()).hash == hash);
            }
        }
        let follow = |descriptor: &Value| -> Vec<u8> {
            let digest = descriptor["digest"].as_str().unwrap();
            let path = format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap());
            let content = files[&path].clone();
            assert_eq!(descriptor["size"], content.len());
            content
        };
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let manifest: Value = serde_json::from_slice(&follow(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&follow(&manifest["config"])).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            manifest["layers"][0]["digest"]
        );
        assert_eq!(follow(&manifest["layers"][0]), b"layer");
    }
}

//! Images as files: the OCI image layout, as a directory and as an archive, and docker's archive.
//!
//! ```text
//! DIR/oci-layout                  {"imageLayoutVersion":"1.0.0"}
//! DIR/index.json                  an index that names the manifest and its tag
//! DIR/blobs/sha256/HEX            configuration, layers, manifest
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Blob, Image, media_types};
use crate::archive::tar;

impl Image {
    /// Writes the image as an OCI layout into `directory`, so that `skopeo copy oci:DIRECTORY:TAG` finds it.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write_layout(&self, directory: &Path, tag: &str) -> Result<()> {
        for (name, bytes) in self.files(tag) {
            let path = directory.join(&name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            }
            fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Writes the same layout as a tar archive, so that `ctr images import FILE` makes an image called `name`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_archive(&self, file: &Path, name: &str) -> Result<()> {
        let files = self.files(name);
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
            .collect();
        fs::write(file, tar(&files)).with_context(|| file.display().to_string())
    }

    /// Writes the image as docker's own archive, so that `docker load` makes an image called `name`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_docker_archive(&self, file: &Path, name: &str) -> Result<()> {
        let config = format!("{}.json", self.config.hex());
        let paths: Vec<String> = self
            .layers
            .iter()
            .map(|layer| format!("{}/layer.tar", layer.hex()))
            .collect();
        let list = json!([{ "Config": config, "RepoTags": [name], "Layers": paths }]).to_string();
        let mut files: Vec<(&str, &[u8])> = vec![
            ("manifest.json", list.as_bytes()),
            (&config, &self.config.bytes),
        ];
        let layers = paths.iter().zip(&self.layers);
        files.extend(layers.map(|(path, layer)| (path.as_str(), layer.bytes.as_slice())));
        fs::write(file, tar(&files)).with_context(|| file.display().to_string())
    }

    fn files(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let mut descriptor = self.manifest.descriptor();
        descriptor["annotations"] = json!({
            "org.opencontainers.image.ref.name": name,
            // What containerd takes for the name, and others ignore.
            "io.containerd.image.name": name,
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media_types::INDEX,
            "manifests": [descriptor],
        });
        let path = |blob: &Blob| format!("blobs/sha256/{}", blob.hex());
        let mut files = vec![
            (
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
            ),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        files.extend(self.blobs().map(|blob| (path(blob), blob.bytes.clone())));
        files.push((path(&self.manifest), self.manifest.bytes.clone()));
        files
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::{Scratch, run, tool};

    #[test]
    fn skopeo_reads_the_layout() {
        let Some(skopeo) = tool("skopeo") else { return };
        let scratch = Scratch::new("layout").unwrap();
        let image = Image::build(1, &[2048, 70_000]);
        image.write_layout(&scratch.join("image"), "v1").unwrap();
        let source = format!("oci:{}:v1", scratch.join("image").display());
        let target = format!("dir:{}", scratch.join("copy").display());
        let mut command = Command::new(skopeo);
        command.args(["--insecure-policy", "copy", &source, &target]);
        run(&mut command, Duration::from_secs(60)).unwrap();
        let copied = fs::read(scratch.join("copy/manifest.json")).unwrap();
        assert_eq!(copied, image.manifest.bytes);
    }
}

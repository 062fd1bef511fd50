//! podman and buildah: both keep images unpacked in a storage, here one of their own in the scratch directory.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wharfinger_testkit::{Image, Scratch, sha256};

use super::program::Program;
use super::{Client, Stored};

pub(super) struct Storage {
    name: &'static str,
    program: Program,
    storages: Cell<u32>,
}

impl Storage {
    /// Finds podman or buildah; `None` where it is not installed.
    pub(super) fn find(scratch: &Scratch, name: &'static str) -> Result<Option<Self>> {
        Ok(Self::program(scratch, name)?.map(|program| Self {
            name,
            program,
            storages: Cell::new(0),
        }))
    }

    /// The program with settings of its own, and without the machine's.
    pub(super) fn program(scratch: &Scratch, name: &str) -> Result<Option<Program>> {
        let Some(program) = Program::find(scratch, name, &[])? else {
            return Ok(None);
        };
        let home = program.home().to_owned();
        let storage = home.join("storage.conf");
        fs::write(&storage, storage_conf(&home))?;
        let registries = home.join("registries.conf");
        fs::write(&registries, "unqualified-search-registries = []\n")?;
        let engine = home.join("containers.conf");
        fs::write(&engine, ENGINE)?;
        // Where both look for it: below the home directory.
        fs::create_dir_all(home.join("containers"))?;
        fs::create_dir_all(home.join(".config/containers"))?;
        for place in ["containers/policy.json", ".config/containers/policy.json"] {
            fs::write(home.join(place), POLICY)?;
        }
        let program = program
            .with("CONTAINERS_STORAGE_CONF", storage)
            .with("CONTAINERS_REGISTRIES_CONF", registries)
            .with("CONTAINERS_CONF", engine);
        Ok(Some(program))
    }

    /// Runs the program on a storage that has nothing yet, or on the one that was last new.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let storage = self.program.home().join(self.storages.get().to_string());
        let (root, runroot) = (storage.join("root"), storage.join("run"));
        let mut all = vec!["--root", path(&root)?, "--runroot", path(&runroot)?];
        all.extend(["--storage-driver", "vfs"]);
        all.extend(arguments);
        self.program.run(&all)
    }

    /// Forgets everything that was pulled.
    fn forget(&self) -> Result<()> {
        let storage = self.program.home().join(self.storages.get().to_string());
        self.storages.set(self.storages.get() + 1);
        if storage.exists() {
            fs::remove_dir_all(storage)?;
        }
        Ok(())
    }
}

impl Client for Storage {
    fn name(&self) -> &'static str {
        self.name
    }

    fn repacks(&self) -> bool {
        true
    }

    fn push(&self, image: &Image, name: &str) -> Result<()> {
        self.forget()?;
        let archive = self.program.home().join("pushed.tar");
        image.write_archive(&archive, name)?;
        let source = format!("oci-archive:{}", archive.display());
        self.run(&["pull", "--quiet", &source])?;
        let target = format!("docker://{name}");
        let id = image.config.hex();
        self.run(&["push", "--quiet", "--tls-verify=false", id, &target])?;
        self.forget()
    }

    fn pull(&self, name: &str, image: &Stored) -> Result<()> {
        self.forget()?;
        self.run(&["pull", "--quiet", "--tls-verify=false", name])?;
        let digests = ["images", "--no-trunc", "--format", "{{.ID}} {{.Digest}}"];
        let digests = self.run(&digests)?;
        let wanted = [&image.config().digest, &image.manifest.digest];
        ensure!(
            digests.split_whitespace().eq(wanted),
            "{digests:?} in place of {wanted:?}"
        );

        // What is exported are the bytes of the archives that the layers were.
        let exported = self.program.home().join("exported");
        let target = format!("dir:{}", exported.display());
        let mut export = vec!["push", "--quiet"];
        // podman leaves layers as they are where it does not push to a registry.
        if self.name == "buildah" {
            export.push("--disable-compression");
        }
        export.extend([image.config().hex(), &target]);
        self.run(&export)?;
        let manifest: Value = serde_json::from_slice(&fs::read(exported.join("manifest.json"))?)?;
        let layers = manifest["layers"].as_array().context("no layers")?;
        let layers = layers
            .iter()
            .map(|layer| {
                let digest = layer["digest"].as_str().context("no digest")?;
                let bytes = fs::read(exported.join(digest.trim_start_matches("sha256:")))?;
                Ok(sha256(&bytes))
            })
            .collect::<Result<Vec<String>>>()?;
        ensure!(layers == image.diff_ids, "the layers are {layers:?}");
        fs::remove_dir_all(exported)?;
        self.forget()
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not text")
}

/// The driver that works on any file system and mounts nothing.
fn storage_conf(home: &Path) -> String {
    let home = home.display();
    format!("[storage]\ndriver = \"vfs\"\nrunroot = \"{home}/run\"\ngraphroot = \"{home}/root\"\n")
}

/// No journal and no systemd to speak to.
const ENGINE: &str = "[engine]\nevents_logger = \"none\"\ncgroup_manager = \"cgroupfs\"\n";

/// Signatures are not what is tested here.
const POLICY: &str = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;

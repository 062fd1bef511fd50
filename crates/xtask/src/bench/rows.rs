//! The table of works, one row each, and what all of them share.

mod images;
mod pages;
mod pulls;
mod pushes;
mod requests;

use anyhow::Result;

use super::contents::{Content, Pool};
use super::peers::{Cost, Kind, Peer};

const MIB: usize = 1024 * 1024;
/// The repository of what is read.
const BASE: &str = "bench/base";

/// One kind of work.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// Whether a server of static files can take part.
    pub(crate) statics: bool,
    /// Done once for each peer, before any clock starts.
    pub(crate) prepare: fn(&Bench, &Peer) -> Result<()>,
    /// Done once in each round for each peer.
    pub(crate) run: fn(&Bench, &Peer, Turn) -> Result<Sample>,
}

/// What a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// MiB a second.
    Mebibytes,
    /// Requests a second.
    Requests,
    /// Whole images a second.
    Images,
}

/// Which round of which row this is; contents made for it are like no others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) row: &'static str,
    pub(crate) round: usize,
}

/// How much work was done at what cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// In the row's unit.
    pub(crate) work: f64,
    pub(crate) cost: Cost,
}

impl Sample {
    /// Returns the work done in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.work / self.cost.seconds
    }
}

/// How large and how long everything is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// A layer pushed or pulled alone.
    pub(crate) layer: usize,
    /// Each of eight layers pushed at once.
    pub(crate) parallel_layer: usize,
    /// A blob so small that only the cost of a request counts.
    pub(crate) small: usize,
    /// How long requests are repeated.
    pub(crate) seconds: f64,
    /// How many images each connection pushes.
    pub(crate) images: usize,
    pub(crate) tags: usize,
    pub(crate) repositories: usize,
}

impl Sizes {
    /// What the figures in the documentation are made with.
    pub(crate) const FULL: Self = Self {
        layer: 256 * MIB,
        parallel_layer: 64 * MIB,
        small: 4096,
        seconds: 2.0,
        images: 30,
        tags: 10_000,
        repositories: 5_000,
    };
    /// Enough to see that every row works, for CI.
    pub(crate) const QUICK: Self = Self {
        layer: 64 * MIB,
        parallel_layer: 16 * MIB,
        seconds: 1.0,
        images: 10,
        ..Self::FULL
    };
}

/// What all rows share: the sizes, and contents that were made before anything ran.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) sizes: Sizes,
    pool: Pool,
    layer: Content,
    small: Content,
    manifest: Vec<u8>,
}

impl Bench {
    /// Makes the contents.
    pub(crate) fn new(sizes: Sizes) -> Self {
        let pool = Pool::new(sizes.layer.max(sizes.parallel_layer));
        let layer = pool.content("layer", sizes.layer);
        let small = pool.content("small", sizes.small);
        let manifest = images::manifest(&small, &small);
        Self {
            sizes,
            pool,
            layer,
            small,
            manifest,
        }
    }
}

/// Every row, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    push("push, POST + PUT", pushes::put),
    push("push, POST + PATCH + PUT", pushes::patch),
    push("push, 16 MiB PATCHes", pushes::chunks),
    push("push, eight at once", pushes::eight),
    pull("pull", pulls::alone),
    pull("pull, eight at once", pulls::eight),
    read("GET blob", true, requests::prepare_blob, requests::get_blob),
    read(
        "HEAD blob",
        true,
        requests::prepare_blob,
        requests::head_blob,
    ),
    read(
        "GET manifest by tag",
        false,
        requests::prepare_manifest,
        requests::get_by_tag,
    ),
    read(
        "GET manifest by digest",
        false,
        requests::prepare_manifest,
        requests::get_by_digest,
    ),
    Row {
        name: "small images",
        unit: Unit::Images,
        statics: false,
        prepare: |_, _| Ok(()),
        run: images::run,
    },
    read("page of tags", false, pages::prepare_tags, pages::tags),
    read(
        "first page of repositories",
        false,
        pages::prepare_repositories,
        pages::first_of_repositories,
    ),
    read(
        "page of repositories",
        false,
        pages::prepare_repositories,
        pages::repositories,
    ),
];

const fn push(name: &'static str, run: fn(&Bench, &Peer, Turn) -> Result<Sample>) -> Row {
    Row {
        name,
        unit: Unit::Mebibytes,
        statics: false,
        prepare: |_, _| Ok(()),
        run,
    }
}

const fn pull(name: &'static str, run: fn(&Bench, &Peer, Turn) -> Result<Sample>) -> Row {
    Row {
        name,
        unit: Unit::Mebibytes,
        statics: true,
        prepare: pulls::prepare,
        run,
    }
}

const fn read(
    name: &'static str,
    statics: bool,
    prepare: fn(&Bench, &Peer) -> Result<()>,
    run: fn(&Bench, &Peer, Turn) -> Result<Sample>,
) -> Row {
    Row {
        name,
        unit: Unit::Requests,
        statics,
        prepare,
        run,
    }
}

/// Brings `content` into a peer: by a push, or as a file under the URL that it will be asked by.
fn bring(peer: &Peer, content: &Content) -> Result<()> {
    use super::client::{Connection, Request};
    use super::registry::{self, Check, Way};

    let mut connection = Connection::open(peer.address)?;
    let target = registry::blob_target(BASE, content.digest());
    let held = connection.call(&Request {
        method: "HEAD",
        target: &target,
        headers: &[],
        body: &[],
    })?;
    if held.status == 200 {
        return Ok(());
    }
    if peer.kind == Kind::Nginx {
        let path = peer.data().join(&target[1..]);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::write(&path, content.to_vec())?;
    } else {
        registry::push(&mut connection, BASE, content, Way::Put)?;
    }
    registry::pull(
        &mut Connection::open(peer.address)?,
        BASE,
        content,
        Check::Whole,
    )
}

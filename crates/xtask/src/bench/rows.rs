//! The table of works, one row each, and what all of them share.

mod images;
pub(crate) mod pages;
mod pulls;
mod pushes;
mod requests;
mod uploads;

use anyhow::Result;

pub(crate) use self::uploads::open_at_once;

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
    /// Who takes part.
    pub(crate) takes: Takes,
    /// Whether the disk has a say in it, so that it is also worth measuring there.
    pub(crate) disk: bool,
    /// Done once for each peer, before any clock starts.
    pub(crate) prepare: fn(&Bench, &Peer) -> Result<()>,
    /// Done once in each round for each peer.
    pub(crate) run: fn(&Bench, &Peer, Turn) -> Result<Sample>,
}

/// Who takes part in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Registries and the floor.
    Pushes,
    /// Registries, and nginx with sendfile and without.
    Pulls,
    /// Registries and nginx.
    Reads,
    /// Registries.
    Registries,
    /// Those whose content can be laid out beside them: pushing it would take hours.
    Layouts,
}

impl Takes {
    /// Whether `kind` is one of them.
    pub(crate) fn takes(self, kind: Kind) -> bool {
        match self {
            Self::Pushes => kind.is_registry() || kind == Kind::Floor,
            Self::Pulls => kind.is_registry() || kind.is_static(),
            Self::Reads => kind.is_registry() || kind == Kind::Nginx,
            Self::Registries => kind.is_registry(),
            Self::Layouts => kind.has_distributions_layout(),
        }
    }
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
    /// Milliseconds until it is done: less is better.
    Milliseconds,
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
    /// Returns the figure in `unit`: the work done in a second, or the time it took.
    pub(crate) fn figure(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Milliseconds => self.cost.seconds * 1000.0,
            Unit::Mebibytes | Unit::Requests | Unit::Images => self.work / self.cost.seconds,
        }
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
    /// How much is asked for by one range.
    pub(crate) range: usize,
    /// How long requests are repeated.
    pub(crate) seconds: f64,
    /// How many images each connection pushes.
    pub(crate) images: usize,
    pub(crate) tags: usize,
    pub(crate) repositories: usize,
    /// How many uploads are open at once, and how large each is.
    pub(crate) uploads: usize,
    pub(crate) upload: usize,
}

impl Sizes {
    /// What the figures in the documentation are made with.
    pub(crate) const FULL: Self = Self {
        layer: 256 * MIB,
        parallel_layer: 64 * MIB,
        small: 4096,
        range: MIB,
        seconds: 2.0,
        images: 40,
        tags: 10_000,
        repositories: 5_000,
        uploads: 1_000,
        upload: 2 * MIB,
    };
    /// Enough to see that every row works, for CI.
    pub(crate) const QUICK: Self = Self {
        layer: 64 * MIB,
        parallel_layer: 16 * MIB,
        seconds: 1.0,
        images: 10,
        uploads: 200,
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
        let manifest = small_manifest(&small);
        Self {
            sizes,
            pool,
            layer,
            small,
            manifest,
        }
    }
}

/// Writes the manifest of an image that is nothing but `small`.
pub(crate) fn small_manifest(small: &Content) -> Vec<u8> {
    images::manifest(small, small)
}

/// Every row, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    push("push, POST + PUT", pushes::put),
    push("push, POST + PATCH + PUT", pushes::patch),
    push("push, 16 MiB PATCHes", pushes::chunks),
    push("push, eight at once", pushes::eight),
    pull("pull", pulls::alone),
    pull("pull, eight at once", pulls::eight),
    pull("pull, ranges of 1 MiB", pulls::ranges),
    read("GET blob", requests::prepare_blob, requests::get_blob),
    read("HEAD blob", requests::prepare_blob, requests::head_blob),
    manifest("GET manifest by tag", requests::get_by_tag),
    manifest("GET manifest by digest", requests::get_by_digest),
    Row {
        name: "small images",
        unit: Unit::Images,
        takes: Takes::Registries,
        disk: true,
        prepare: |_, _| Ok(()),
        run: images::run,
    },
    page("page of tags", pages::prepare_tags, pages::tags),
    page(
        "first page of repositories",
        pages::prepare_repositories,
        pages::first_of_repositories,
    ),
    page(
        "page of repositories",
        pages::prepare_repositories,
        pages::repositories,
    ),
];

/// The row whose point is its memory. It has servers of its own: what they keep afterwards would
/// else be counted with all other rows.
pub(crate) const UPLOADS: Row = Row {
    name: "uploads, all open at once",
    unit: Unit::Mebibytes,
    takes: Takes::Registries,
    disk: false,
    prepare: |_, _| Ok(()),
    run: uploads::run,
};

const fn push(name: &'static str, run: fn(&Bench, &Peer, Turn) -> Result<Sample>) -> Row {
    Row {
        name,
        unit: Unit::Mebibytes,
        takes: Takes::Pushes,
        disk: true,
        prepare: |_, _| Ok(()),
        run,
    }
}

const fn pull(name: &'static str, run: fn(&Bench, &Peer, Turn) -> Result<Sample>) -> Row {
    Row {
        name,
        unit: Unit::Mebibytes,
        takes: Takes::Pulls,
        disk: false,
        prepare: pulls::prepare,
        run,
    }
}

const fn read(
    name: &'static str,
    prepare: fn(&Bench, &Peer) -> Result<()>,
    run: fn(&Bench, &Peer, Turn) -> Result<Sample>,
) -> Row {
    Row {
        name,
        unit: Unit::Requests,
        takes: Takes::Reads,
        disk: false,
        prepare,
        run,
    }
}

const fn manifest(name: &'static str, run: fn(&Bench, &Peer, Turn) -> Result<Sample>) -> Row {
    Row {
        takes: Takes::Registries,
        ..read(name, requests::prepare_manifest, run)
    }
}

const fn page(
    name: &'static str,
    prepare: fn(&Bench, &Peer) -> Result<()>,
    run: fn(&Bench, &Peer, Turn) -> Result<Sample>,
) -> Row {
    Row {
        takes: Takes::Layouts,
        ..read(name, prepare, run)
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
    if peer.kind.is_static() {
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

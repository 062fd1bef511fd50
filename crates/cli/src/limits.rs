//! What clients may use at once, and how many files the process may have open for it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wharfinger_server::Limits;

use crate::config::LimitsConfig;

/// A third of the descriptors are for connections: each may need one for the file that it reads or
/// writes and one for a directory, lock or journal beside it.
const DESCRIPTORS_PER_CONNECTION: u64 = 3;

/// Returns the limits of a configuration, as far as the system has enough descriptors for them.
pub(crate) fn limits(config: &LimitsConfig) -> Limits {
    let connections = enough_for(config.connections);
    let mut limits = Limits::default();
    limits.max_connections = connections;
    // No single client can keep all others out, and no pushes all pulls.
    limits.max_address_connections = config.address_connections.min(connections.div_ceil(2));
    limits.max_requests = config.requests;
    limits.max_uploads = config.uploads.min((connections - connections / 10).max(1));
    limits.manifest_memory_bytes = config.manifest_memory_bytes;
    limits
}

/// Raises the limit of descriptors to what the system lets us have, and returns how many of `wanted`
/// connections they are enough for.
///
/// The soft limit is mostly 1,024, for the sake of programs that use `select`.
pub(crate) fn enough_for(wanted: usize) -> usize {
    let found = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: found.maximum,
        maximum: found.maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            found.current
        }
    };
    let connections = connections(limit, wanted);
    // No number is no limit.
    let open_files = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    if connections < wanted {
        tracing::warn!(
            open_files,
            connections,
            wanted,
            "the limit of open files is low: fewer connections are taken"
        );
    } else {
        tracing::info!(open_files, connections, "limits");
    }
    connections
}

/// Returns how many of `wanted` connections `limit` descriptors are enough for, at least one.
fn connections(limit: Option<u64>, wanted: usize) -> usize {
    let most = limit.map_or(u64::MAX, |limit| limit / DESCRIPTORS_PER_CONNECTION);
    usize::try_from(most)
        .unwrap_or(usize::MAX)
        .clamp(1, wanted.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_a_third_of_the_descriptors_and_no_more_than_wanted() {
        assert_eq!(connections(Some(1024), 10_000), 341);
        assert_eq!(connections(Some(1 << 20), 10_000), 10_000);
        assert_eq!(connections(None, 10_000), 10_000);
        assert_eq!(connections(Some(2), 10_000), 1);
    }
}

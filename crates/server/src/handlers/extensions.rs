//! The extensions of the API (distribution specification, *extensions*).

use http::StatusCode;
use serde::Serialize;
use wharfinger_auth::Granted;
use wharfinger_auth::action::{ListExtensions, ListRepositoryExtensions};
use wharfinger_oci::Route;

use crate::response::{Reply, Response};

#[derive(Serialize)]
struct Wire {
    extensions: [Extension; 1],
}

#[derive(Serialize)]
struct Extension {
    name: &'static str,
    description: &'static str,
    url: &'static str,
    endpoints: [String; 1],
}

/// Lists what the registry has: this list.
pub(crate) fn list(_granted: &Granted<ListExtensions>) -> Response {
    answer(&Route::Extensions { name: None })
}

/// Lists what a repository has.
pub(crate) fn list_of_repository(granted: Granted<ListRepositoryExtensions>) -> Response {
    let name = Some(granted.into_action().name);
    answer(&Route::Extensions { name })
}

fn answer(route: &Route) -> Response {
    let extension = Extension {
        name: "_oci",
        description: "Lists the extensions that there are.",
        url: "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md",
        endpoints: [route.to_string()],
    };
    let wire = Wire {
        extensions: [extension],
    };
    let json = serde_json::to_vec(&wire).expect("texts always serialize");
    Reply::new(StatusCode::OK).json(json).done()
}

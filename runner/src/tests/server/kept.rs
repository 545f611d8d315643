//! What the stand-in keeps for jobs: caches and artifacts, each checked as a server would.

use axum::routing::get;
use pipelines::ids::CacheId;
use pipelines::wire::{CacheFound, CacheQuery};

use super::*;
use crate::archive::hex;

#[derive(Clone)]
pub(in super::super) struct Cache {
    pub(in super::super) prefix: String,
    pub(in super::super) key: String,
    pub(in super::super) bytes: Vec<u8>,
    pub(in super::super) digest: String,
}

#[derive(Default)]
pub(super) struct Kept {
    caches: Vec<Cache>,
    /// Kind, path and content.
    files: Vec<(String, String, Vec<u8>)>,
    /// The answer to whoever brings something.
    refusal: Option<StatusCode>,
    /// Whether a cache that is fetched never comes to its end.
    stalls: bool,
}

type Asked = HashMap<String, String>;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/runner/v1/jobs/{job}/cache/find", post(find))
        .route("/runner/v1/jobs/{job}/cache/{cache}", get(fetch))
        .route("/runner/v1/jobs/{job}/cache", post(keep_cache))
        .route("/runner/v1/jobs/{job}/artifact", post(keep_file))
}

pub(in super::super) fn digest(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

impl StandIn {
    pub(in super::super) fn caches(&self) -> Vec<Cache> {
        self.app.state().kept.caches.clone()
    }
    /// Changes what is kept.
    pub(in super::super) fn change_caches(&self, change: impl FnOnce(&mut Vec<Cache>)) {
        self.change(|state| change(&mut state.kept.caches));
    }
    /// The artifacts and reports, as `kind path: content`.
    pub(in super::super) fn files(&self) -> Vec<String> {
        let state = self.app.state();
        let files = state.kept.files.iter();
        let told = files.map(|(kind, path, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            format!("{kind} {path}: {}", text.trim_end())
        });
        told.collect()
    }
    pub(in super::super) fn refuse_files(&self, status: StatusCode) {
        self.change(|state| state.kept.refusal = Some(status));
    }
    pub(in super::super) fn stall_caches(&self) {
        self.change(|state| state.kept.stalls = true);
    }
}

/// Whether the lease in a query holds.
fn is_held(state: &State, job: JobId, asked: &Asked) -> bool {
    let proof = LeaseProof {
        attempt: Attempt(asked["attempt"].parse().unwrap()),
        fence: Fence(asked["fence"].parse().unwrap()),
    };
    state.held.get(&job) == Some(&proof)
}

async fn find(
    Shared(app): Shared<App>,
    Path(job): Path<JobId>,
    Json(query): Json<CacheQuery>,
) -> Response {
    let state = app.state();
    if state.held.get(&job) != Some(&query.lease) {
        return stale();
    }
    let of_prefix = state.kept.caches.iter().enumerate();
    let of_prefix = of_prefix.filter(|(_, cache)| cache.prefix == query.prefix);
    let found = of_prefix.max_by_key(|(place, cache)| (cache.key == query.key, *place));
    match found {
        None => StatusCode::NO_CONTENT.into_response(),
        Some((place, cache)) => Json(CacheFound {
            id: CacheId(i64::try_from(place).unwrap()),
            key: cache.key.clone(),
            bytes: cache.bytes.len() as u64,
            digest: cache.digest.clone(),
        })
        .into_response(),
    }
}

async fn fetch(
    Shared(app): Shared<App>,
    Path((job, cache)): Path<(JobId, usize)>,
    Query(asked): Query<Asked>,
) -> Response {
    let state = app.state();
    if !is_held(&state, job, &asked) {
        return stale();
    }
    let bytes = state.kept.caches[cache].bytes.clone();
    if state.kept.stalls {
        use futures_util::StreamExt as _;
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]);
        let body = first.chain(futures_util::stream::pending());
        return axum::body::Body::from_stream(body).into_response();
    }
    bytes.into_response()
}

async fn keep_cache(
    Shared(app): Shared<App>,
    Path(job): Path<JobId>,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Response {
    let mut state = app.state();
    if !is_held(&state, job, &asked) {
        return stale();
    }
    if let Some(status) = state.kept.refusal {
        return refuse(status, "not this one");
    }
    let cache = Cache {
        prefix: asked["prefix"].clone(),
        key: asked["key"].clone(),
        bytes: body.to_vec(),
        digest: asked["digest"].clone(),
    };
    if digest(&body) != cache.digest {
        return refuse(StatusCode::BAD_REQUEST, "other bytes than promised");
    }
    state.kept.caches.push(cache);
    StatusCode::NO_CONTENT.into_response()
}

async fn keep_file(
    Shared(app): Shared<App>,
    Path(job): Path<JobId>,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Response {
    let mut state = app.state();
    if !is_held(&state, job, &asked) {
        return stale();
    }
    if let Some(status) = state.kept.refusal {
        return refuse(status, "not this one");
    }
    if digest(&body) != asked["digest"] {
        return refuse(StatusCode::BAD_REQUEST, "other bytes than promised");
    }
    let (kind, path) = (asked["kind"].clone(), asked["path"].clone());
    state.kept.files.push((kind, path, body.to_vec()));
    StatusCode::NO_CONTENT.into_response()
}

//! An OCI registry on loopback (distribution-spec 1.1), for tests of push and pull.
//!
//! Strict where registries are: digests are checked, a manifest needs its blobs, a chunk must
//! continue where the last one ended. It knows SHA-256 only. Read [`Registry`] first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::http::{Request, Response, Server};

/// What the registry can do and asks for.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Who may use it.
    pub auth: Auth,
    /// The referrers API; without it clients use the fallback tag.
    pub referrers: bool,
    /// Mounting a blob from another repository.
    pub mount: bool,
    /// Deleting blobs and manifests.
    pub delete: bool,
    /// Upload locations are absolute URLs; else paths. Both carry a query.
    pub absolute_locations: bool,
    /// Upload locations begin with this instead, such as `http://127.0.0.1:1`.
    pub location_base: Option<String>,
    /// Blobs are not given, a redirect to this and the path is.
    pub blob_redirect: Option<String>,
    /// The referrers API gives so many entries on one page.
    pub referrers_page: Option<usize>,
    /// Where challenges say that tokens are; else `/token` of the registry itself.
    pub realm: Option<String>,
    /// A token is good for so many requests, whatever its `expires_in` says.
    pub token_uses: Option<u32>,
    /// The `expires_in` of tokens, in seconds.
    pub token_life: u64,
    /// A chunk takes so many bytes at most; the rest has to come again.
    pub take: Option<usize>,
    /// The `OCI-Chunk-Min-Length` of uploads; smaller chunks are refused unless they are the last.
    pub min_chunk: Option<usize>,
}

/// How a client shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// Basic authentication with user and password.
    Basic(String, String),
    /// A bearer token, fetched with user and password (the distribution token specification).
    Token(String, String),
    /// A bearer token, fetched by anyone, good for pulling only.
    AnonymousPull,
}

/// A served registry; it stops when it is dropped.
pub struct Registry {
    /// The server, for its faults and requests.
    pub server: Server,
    state: Arc<Mutex<State>>,
}

/// Media type and bytes.
type Manifest = (String, Arc<[u8]>);

struct State {
    options: RegistryOptions,
    /// Repository and digest → bytes.
    blobs: BTreeMap<(String, String), Arc<[u8]>>,
    /// Repository and digest → media type and bytes.
    manifests: BTreeMap<(String, String), Manifest>,
    /// Repository and tag → digest.
    tags: BTreeMap<(String, String), String>,
    uploads: BTreeMap<String, Vec<u8>>,
    /// Token → its scope, and the requests that it is still good for.
    tokens: BTreeMap<String, (String, Option<u32>)>,
    /// Bytes that the next chunks take before they fail.
    cuts: VecDeque<usize>,
    /// The answer to requests that open an upload, instead of the right one.
    opening: Option<Response>,
    overstates: bool,
    /// Requests that are answered before all are refused.
    left: Option<u32>,
    count: u64,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            referrers: true,
            mount: true,
            delete: true,
            absolute_locations: false,
            location_base: None,
            blob_redirect: None,
            referrers_page: None,
            realm: None,
            token_uses: None,
            token_life: 300,
            take: None,
            min_chunk: None,
        }
    }
}

impl Registry {
    /// Starts an empty registry.
    pub fn start(options: RegistryOptions) -> Self {
        let state = State {
            options,
            blobs: BTreeMap::new(),
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            uploads: BTreeMap::new(),
            tokens: BTreeMap::new(),
            cuts: VecDeque::new(),
            opening: None,
            overstates: false,
            left: None,
            count: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = Server::with_handler(move |request| Some(lock(&shared).answer(request)));
        Self { server, state }
    }

    /// `127.0.0.1:PORT`, the first part of a reference.
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// A blob of any repository.
    pub fn blob(&self, digest: &str) -> Option<Arc<[u8]>> {
        let state = lock(&self.state);
        state
            .blobs
            .iter()
            .find(|((_, known), _)| known == digest)
            .map(|(_, bytes)| Arc::clone(bytes))
    }

    /// A manifest by tag or digest: its media type and bytes.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Arc<[u8]>)> {
        lock(&self.state)
            .manifest(repository, reference)
            .map(|(_, media, bytes)| (media, bytes))
    }

    /// The tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        lock(&self.state).tags_of(repository)
    }

    /// The digests of the blobs of a repository, sorted.
    pub fn blobs(&self, repository: &str) -> Vec<String> {
        let state = lock(&self.state);
        let mine = state.blobs.keys().filter(|(known, _)| known == repository);
        mine.map(|(_, digest)| digest.clone()).collect()
    }

    /// The next chunk keeps so many of its bytes and is answered by status 500. Called again, it is
    /// about the chunk after that.
    pub fn cut_chunk(&self, bytes: usize) {
        lock(&self.state).cuts.push_back(bytes);
    }

    /// All requests that open an upload are answered so.
    pub fn answer_uploads(&self, answer: Option<Response>) {
        lock(&self.state).opening = answer;
    }

    /// Whether the registry says of each upload that it has 99,999 bytes of it.
    pub fn overstate(&self, yes: bool) {
        lock(&self.state).overstates = yes;
    }

    /// Forgets all uploads that are under way.
    pub fn lose_uploads(&self) {
        lock(&self.state).uploads.clear();
    }

    /// How many uploads are under way.
    pub fn open_uploads(&self) -> usize {
        lock(&self.state).uploads.len()
    }

    /// After so many further requests all are refused with status 403, as if the client had ended: `None`
    /// takes that back.
    pub fn refuse_after(&self, requests: Option<u32>) {
        lock(&self.state).left = requests;
    }

    /// Forgets all tokens.
    pub fn revoke_tokens(&self) {
        lock(&self.state).tokens.clear();
    }

    /// Puts a blob as if it had been pushed; its digest.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Arc<[u8]>>) -> String {
        let bytes = bytes.into();
        let digest = digest_of(&bytes);
        lock(&self.state)
            .blobs
            .insert((repository.into(), digest.clone()), bytes);
        digest
    }

    /// Puts a manifest under a tag as if it had been pushed; its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, media: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let mut state = lock(&self.state);
        let key = (repository.to_owned(), digest.clone());
        state.manifests.insert(key, (media.into(), bytes.into()));
        state
            .tags
            .insert((repository.into(), tag.into()), digest.clone());
        digest
    }

    /// Forgets a tag, not what it names, as if it had never been set; whether it was there.
    pub fn remove_tag(&self, repository: &str, tag: &str) -> bool {
        let tag = (repository.to_owned(), tag.to_owned());
        lock(&self.state).tags.remove(&tag).is_some()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        match &mut self.left {
            Some(0) => return error(403, "DENIED", "the client is gone"),
            Some(left) => *left -= 1,
            None => {}
        }
        if request.path == "/token" {
            return self.token(request);
        }
        let Some(rest) = request.path.strip_prefix("/v2/") else {
            return Response::status(404);
        };
        let route = route(rest);
        let repository = route
            .as_ref()
            .map(|(name, _, _)| name.clone())
            .unwrap_or_default();
        if let Some(refused) = self.refused(request, &repository) {
            return refused;
        }
        let Some((name, kind, tail)) = route else {
            return match rest.is_empty() {
                true => json_response(&json!({})),
                false => Response::status(404),
            };
        };
        if !valid_name(&name) {
            return error(400, "NAME_INVALID", &name);
        }
        match (kind, request.method.as_str()) {
            ("blobs", _) if tail.starts_with("uploads") => self.upload(
                request,
                &name,
                tail.trim_start_matches("uploads").trim_matches('/'),
            ),
            ("blobs", method) => self.blob(method, &name, &tail),
            ("manifests", "PUT") => self.put_manifest(request, &name, &tail),
            ("manifests", "DELETE") => self.delete_manifest(&name, &tail),
            ("manifests", "GET" | "HEAD") => self.get_manifest(request, &name, &tail),
            ("tags", "GET") => self.list_tags(request, &name),
            ("referrers", "GET") => self.list_referrers(request, &name, &tail),
            _ => error(405, "UNSUPPORTED", &request.method),
        }
    }

    /// The 401 or 403 answer, where the request may not go on.
    fn refused(&mut self, request: &Request, repository: &str) -> Option<Response> {
        let given = request.header("authorization");
        match &self.options.auth {
            Auth::None => None,
            Auth::Basic(user, password) => {
                let known = given.is_some_and(|given| basic_matches(given, user, password));
                let challenge = || error(401, "UNAUTHORIZED", "who are you");
                (!known).then(|| challenge().header("www-authenticate", "Basic realm=\"test\""))
            }
            Auth::Token(..) | Auth::AnonymousPull => {
                let read = matches!(request.method.as_str(), "GET" | "HEAD");
                let removes = request.method == "DELETE" && request.path.contains("/manifests/");
                let action = match (read, removes) {
                    (true, _) => "pull",
                    (false, true) => "delete",
                    (false, false) => "push",
                };
                let token = given.and_then(|given| given.strip_prefix("Bearer "));
                let known = token.and_then(|token| self.tokens.get_mut(token));
                let fits = known.is_some_and(|(scope, uses)| {
                    if let Some(left) = uses {
                        if *left == 0 {
                            return false;
                        }
                        *left -= 1;
                    }
                    repository.is_empty()
                        || scope.split(' ').any(|one| {
                            let actions = one.strip_prefix(&format!("repository:{repository}:"));
                            actions.is_some_and(|list| list.split(',').any(|known| known == action))
                        })
                });
                if fits {
                    return None;
                }
                let host = request.header("host").unwrap_or("localhost");
                let actions = if read { "pull" } else { "pull,push" };
                let scope = match repository.is_empty() {
                    true => String::new(),
                    false => format!(",scope=\"repository:{repository}:{actions}\""),
                };
                let own = format!("http://{host}/token");
                let realm = self.options.realm.as_deref().unwrap_or(&own);
                let challenge = format!("Bearer realm=\"{realm}\",service=\"test\"{scope}");
                Some(error(401, "UNAUTHORIZED", "no token").header("www-authenticate", challenge))
            }
        }
    }

    /// The token endpoint, GET form. Several scopes come as several parameters.
    fn token(&mut self, request: &Request) -> Response {
        if let Auth::Token(user, password) = &self.options.auth {
            let given = request.header("authorization").unwrap_or_default();
            if !basic_matches(given, user, password) {
                return error(401, "UNAUTHORIZED", "wrong user or password");
            }
        }
        let pairs = request
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        let scopes = pairs.filter(|(name, _)| *name == "scope");
        let decoded =
            scopes.map(|(_, value)| crate::http::percent_decode(&value.replace('+', " ")));
        let mut scope = decoded.collect::<Vec<_>>().join(" ");
        if self.options.auth == Auth::AnonymousPull {
            scope = scope
                .replace("pull,push", "pull")
                .replace("push,pull", "pull");
        }
        self.count += 1;
        let token = format!("token{}", self.count);
        let uses = self.options.token_uses;
        self.tokens.insert(token.clone(), (scope, uses));
        let life = self.options.token_life;
        json_response(&json!({ "token": token, "access_token": token, "expires_in": life }))
    }

    fn blob(&mut self, method: &str, name: &str, digest: &str) -> Response {
        let key = (name.to_owned(), digest.to_owned());
        let Some(bytes) = self.blobs.get(&key).cloned() else {
            return error(404, "BLOB_UNKNOWN", digest);
        };
        match (method, &self.options.blob_redirect) {
            ("GET", Some(base)) => {
                Response::status(307).header("location", format!("{base}/v2/{name}/blobs/{digest}"))
            }
            ("GET" | "HEAD", _) => Response::bytes("application/octet-stream", bytes)
                .header("docker-content-digest", digest),
            ("DELETE", _) if self.options.delete => {
                self.blobs.remove(&key);
                Response::status(202)
            }
            _ => error(405, "UNSUPPORTED", method),
        }
    }

    fn upload(&mut self, request: &Request, name: &str, id: &str) -> Response {
        if request.method == "POST" {
            return self.start_upload(request, name);
        }
        let Some(so_far) = self.uploads.get(id).map(Vec::len) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN", id);
        };
        match request.method.as_str() {
            "GET" => self.progress(request, 204, name, id),
            "DELETE" => {
                self.uploads.remove(id);
                Response::status(204)
            }
            "PATCH" => {
                let start = request
                    .header("content-range")
                    .and_then(|range| range.split('-').next());
                if start.is_some_and(|start| start.parse() != Ok(so_far)) {
                    return self.progress(request, 416, name, id);
                }
                let cut = self.cuts.pop_front();
                let most = cut.or(self.options.take).unwrap_or(usize::MAX);
                let taken = &request.body[..request.body.len().min(most)];
                self.uploads
                    .entry(id.into())
                    .or_default()
                    .extend_from_slice(taken);
                match cut {
                    Some(_) => error(500, "UNKNOWN", "the disk went away"),
                    None => self.progress(request, 202, name, id),
                }
            }
            "PUT" => {
                let mut bytes = self.uploads.get(id).cloned().unwrap_or_default();
                bytes.extend_from_slice(&request.body);
                let answer = self.finish(request, name, bytes);
                if answer.status == 201 {
                    self.uploads.remove(id);
                }
                answer
            }
            other => error(405, "UNSUPPORTED", other),
        }
    }

    fn start_upload(&mut self, request: &Request, name: &str) -> Response {
        if let Some(answer) = &self.opening {
            return answer.clone();
        }
        if let (Some(digest), true) = (request.parameter("mount"), self.options.mount) {
            let from = request.parameter("from");
            let found = self.blobs.iter().find(|((repository, known), _)| {
                *known == digest && from.as_ref().is_none_or(|from| from == repository)
            });
            if let Some(bytes) = found.map(|(_, bytes)| Arc::clone(bytes)) {
                self.blobs.insert((name.into(), digest.clone()), bytes);
                return created(format!("/v2/{name}/blobs/{digest}"), &digest);
            }
        }
        if request.parameter("digest").is_some() {
            return self.finish(request, name, request.body.clone());
        }
        self.count += 1;
        let id = format!("upload{}", self.count);
        self.uploads.insert(id.clone(), Vec::new());
        self.progress(request, 202, name, &id)
    }

    fn progress(&self, request: &Request, status: u16, name: &str, id: &str) -> Response {
        let host = request.header("host").unwrap_or("localhost");
        let size = match self.overstates {
            true => 99_999,
            false => self.uploads.get(id).map_or(0, Vec::len),
        };
        let base = match (&self.options.location_base, self.options.absolute_locations) {
            (Some(base), _) => base.clone(),
            (None, true) => format!("http://{host}"),
            (None, false) => String::new(),
        };
        let answer = match self.options.min_chunk {
            Some(min) => Response::status(status).header("oci-chunk-min-length", min.to_string()),
            None => Response::status(status),
        };
        answer
            .header(
                "location",
                format!("{base}/v2/{name}/blobs/uploads/{id}?_state=s{size}"),
            )
            .header("range", format!("0-{}", size.saturating_sub(1)))
            .header("docker-upload-uuid", id)
    }

    fn finish(&mut self, request: &Request, name: &str, bytes: Vec<u8>) -> Response {
        let Some(digest) = request.parameter("digest") else {
            return error(400, "DIGEST_INVALID", "no digest");
        };
        if digest_of(&bytes) != digest {
            return error(400, "DIGEST_INVALID", &digest);
        }
        self.blobs
            .insert((name.into(), digest.clone()), bytes.into());
        created(format!("/v2/{name}/blobs/{digest}"), &digest)
    }

    fn manifest(&self, name: &str, reference: &str) -> Option<(String, String, Arc<[u8]>)> {
        let digest = match reference.contains(':') {
            true => reference,
            false => self.tags.get(&(name.to_owned(), reference.to_owned()))?,
        };
        let (media, bytes) = self.manifests.get(&(name.to_owned(), digest.to_owned()))?;
        Some((digest.to_owned(), media.clone(), Arc::clone(bytes)))
    }

    fn get_manifest(&self, request: &Request, name: &str, reference: &str) -> Response {
        let Some((digest, media, bytes)) = self.manifest(name, reference) else {
            return error(404, "MANIFEST_UNKNOWN", reference);
        };
        let mut accepts = request
            .headers
            .iter()
            .filter(|(name, _)| name == "accept")
            .peekable();
        if accepts.peek().is_some()
            && !accepts.any(|(_, value)| value.contains(&media) || value.contains("*/*"))
        {
            return error(404, "MANIFEST_UNKNOWN", "none of an accepted media type");
        }
        Response::bytes(&media, bytes).header("docker-content-digest", digest)
    }

    fn put_manifest(&mut self, request: &Request, name: &str, reference: &str) -> Response {
        let digest = digest_of(&request.body);
        let by_digest = reference.contains(':');
        if by_digest && reference != digest {
            return error(400, "DIGEST_INVALID", reference);
        }
        let Ok(value) = serde_json::from_slice::<Value>(&request.body) else {
            return error(400, "MANIFEST_INVALID", "not JSON");
        };
        let Some(media) = request.header("content-type").map(str::to_owned) else {
            return error(400, "MANIFEST_INVALID", "no content-type");
        };
        if value["mediaType"]
            .as_str()
            .is_some_and(|stated| stated != media)
        {
            return error(400, "MANIFEST_INVALID", "content-type and mediaType differ");
        }
        if let Some(missing) = self.missing(name, &value) {
            return error(404, "MANIFEST_BLOB_UNKNOWN", &missing);
        }
        self.manifests.insert(
            (name.into(), digest.clone()),
            (media, request.body.clone().into()),
        );
        if !by_digest {
            self.tags
                .insert((name.into(), reference.into()), digest.clone());
        }
        let answer = created(format!("/v2/{name}/manifests/{digest}"), &digest);
        match value["subject"]["digest"].as_str() {
            Some(subject) if self.options.referrers => answer.header("oci-subject", subject),
            _ => answer,
        }
    }

    /// The first blob or manifest that a manifest names and the repository does not have.
    fn missing(&self, name: &str, value: &Value) -> Option<String> {
        let list = |field: &str| value[field].as_array().cloned().unwrap_or_default();
        let digest = |value: &Value| value["digest"].as_str().map(str::to_owned);
        let layers = list("layers").into_iter().chain([value["config"].clone()]);
        let blobs: BTreeSet<String> = layers.filter_map(|layer| digest(&layer)).collect();
        let gone = blobs
            .into_iter()
            .find(|one| !self.blobs.contains_key(&(name.into(), one.clone())));
        let children = list("manifests");
        let mut children = children.iter().filter_map(digest);
        gone.or_else(|| {
            children.find(|one| !self.manifests.contains_key(&(name.into(), one.clone())))
        })
    }

    fn delete_manifest(&mut self, name: &str, reference: &str) -> Response {
        let Some((digest, _, _)) = self.manifest(name, reference) else {
            return error(404, "MANIFEST_UNKNOWN", reference);
        };
        if !self.options.delete {
            return error(405, "UNSUPPORTED", "DELETE");
        }
        if reference.contains(':') {
            self.manifests.remove(&(name.into(), digest.clone()));
            self.tags
                .retain(|(known, _), to| known != name || *to != digest);
        } else {
            self.tags.remove(&(name.into(), reference.into()));
        }
        Response::status(202)
    }

    fn tags_of(&self, name: &str) -> Vec<String> {
        let mine = self.tags.keys().filter(|(known, _)| known == name);
        mine.map(|(_, tag)| tag.clone()).collect()
    }

    /// Tags, paged by `n` and `last` with a `Link` header.
    fn list_tags(&self, request: &Request, name: &str) -> Response {
        let mut tags = self.tags_of(name);
        if tags.is_empty() && !self.manifests.keys().any(|(known, _)| known == name) {
            return error(404, "NAME_UNKNOWN", name);
        }
        if let Some(last) = request.parameter("last") {
            tags.retain(|tag| *tag > last);
        }
        let limit = request
            .parameter("n")
            .and_then(|n| n.parse().ok())
            .unwrap_or(usize::MAX);
        let more = tags.len() > limit;
        tags.truncate(limit);
        let answer = json_response(&json!({ "name": name, "tags": tags }));
        match tags.last() {
            Some(last) if more => {
                let next = format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\"");
                answer.header("link", next)
            }
            _ => answer,
        }
    }

    fn list_referrers(&self, request: &Request, name: &str, digest: &str) -> Response {
        if !self.options.referrers {
            return error(404, "UNSUPPORTED", "referrers");
        }
        let wanted = request.parameter("artifactType");
        let mut found = Vec::new();
        for ((repository, own), (media, bytes)) in &self.manifests {
            let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
            if repository != name || value["subject"]["digest"].as_str() != Some(digest) {
                continue;
            }
            let kind = value["artifactType"]
                .as_str()
                .or(value["config"]["mediaType"].as_str());
            if wanted.is_some() && wanted.as_deref() != kind {
                continue;
            }
            let mut entry = json!({ "mediaType": media, "digest": own, "size": bytes.len() });
            if let Some(kind) = kind {
                entry["artifactType"] = kind.into();
            }
            if !value["annotations"].is_null() {
                entry["annotations"] = value["annotations"].clone();
            }
            found.push(entry);
        }
        let media = "application/vnd.oci.image.index.v1+json";
        let skip = request
            .parameter("skip")
            .and_then(|skip| skip.parse().ok())
            .unwrap_or(0);
        let size = self.options.referrers_page.unwrap_or(usize::MAX);
        let more = found.len() > size.saturating_add(skip);
        let page: Vec<Value> = found.into_iter().skip(skip).take(size).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media, "manifests": page });
        let mut answer = Response::bytes(media, index.to_string().into_bytes());
        if more {
            let next = format!(
                "</v2/{name}/referrers/{digest}?skip={}>; rel=\"next\"",
                skip + size
            );
            answer = answer.header("link", next);
        }
        match wanted {
            Some(_) => answer.header("oci-filters-applied", "artifactType"),
            None => answer,
        }
    }
}

/// Repository, kind, rest: the name may have slashes, so the last keyword decides.
fn route(path: &str) -> Option<(String, &'static str, String)> {
    let kinds = ["blobs", "manifests", "tags", "referrers"];
    let found = kinds.into_iter().filter_map(|kind| {
        let at = path.rfind(&format!("/{kind}/"))?;
        Some((at, kind))
    });
    let (at, kind) = found.max_by_key(|(at, _)| *at)?;
    Some((path[..at].into(), kind, path[at + kind.len() + 2..].into()))
}

/// The name grammar of the distribution-spec, without its separator rules.
fn valid_name(name: &str) -> bool {
    let part = |part: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let inner =
            |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || b"._-".contains(&byte);
        let bytes = part.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && part.bytes().all(inner)
    };
    name.split('/').all(part)
}

fn basic_matches(header: &str, user: &str, password: &str) -> bool {
    header
        == format!(
            "Basic {}",
            crate::http::base64(format!("{user}:{password}").as_bytes())
        )
}

fn created(location: String, digest: &str) -> Response {
    Response::status(201)
        .header("location", location)
        .header("docker-content-digest", digest)
}

fn json_response(value: &Value) -> Response {
    Response::bytes("application/json", value.to_string().into_bytes())
}

fn error(status: u16, code: &str, detail: &str) -> Response {
    let value = json!({ "errors": [{ "code": code, "message": detail, "detail": null }] });
    Response {
        status,
        ..json_response(&value)
    }
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", crate::sha256_hex(bytes))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;

//! A package index on loopback: the Simple API as HTML (PEP 503) and JSON (PEP 691, PEP 700), with
//! metadata files (PEP 658, PEP 714).
//!
//! Read [`Index`] first, then [`FileOptions`] for what can be wrong with a file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::http::{Request, Response, Server};
use crate::{SdistBuilder, WheelBuilder};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";

/// The content of an index, before and while it is served.
#[derive(Debug, Clone, Default)]
pub struct Index {
    projects: BTreeMap<String, Vec<File>>,
    about: BTreeMap<String, About>,
    html_only: bool,
    no_metadata: bool,
}

/// What the index says of a project beside its files: the project JSON, and the status marker of the
/// page (PEP 792). A project without it has no project JSON, as on a plain mirror.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// One line.
    pub summary: String,
    /// Users that own it.
    pub owners: Vec<String>,
    /// `archived`, `quarantined` or `deprecated`, with a reason.
    pub status: Option<(String, String)>,
    /// Tell the status under the key `state`, as the text of PEP 792 has it, and not its example.
    pub says_state: bool,
    /// Ids of vulnerabilities that no version repairs.
    pub open: Vec<String>,
    /// Has the JSON of the project alone, and none of its versions.
    pub no_versions: bool,
    /// Ids of vulnerabilities with another id and the version that repairs them.
    pub fixed: Vec<(String, String, String)>,
}

/// What the index says of one file beside its bytes.
#[derive(Debug, Clone, Default)]
pub struct FileOptions {
    /// `upload-time`, RFC 3339 with `Z`; 2026-01-01T00:00:00Z where not set.
    pub upload_time: Option<String>,
    /// Leave `upload-time` out.
    pub no_upload_time: bool,
    /// Yanked, for this reason (may be empty; PEP 592).
    pub yanked: Option<String>,
    /// Tell the SHA-256 of something else.
    pub wrong_hash: bool,
    /// Tell no hash at all.
    pub no_hash: bool,
    /// Tell a size that is one byte too great.
    pub wrong_size: bool,
    /// Serve this as the metadata file, with a right hash for it, whatever the wheel says.
    pub other_metadata: Option<String>,
    /// Serve no metadata file for this one.
    pub no_metadata: bool,
    /// Tell the SHA-256 of something else for the metadata file.
    pub wrong_metadata_hash: bool,
    /// Its provenance document (PEP 740), served as it stands.
    pub provenance: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct File {
    filename: String,
    version: String,
    bytes: Vec<u8>,
    metadata: Option<String>,
    requires_python: Option<String>,
    options: FileOptions,
}

/// A served index; it stops when it is dropped.
pub struct IndexServer {
    /// The server, for its faults and requests.
    pub server: Server,
    index: Arc<Mutex<Index>>,
}

impl Index {
    /// An empty index with JSON and metadata files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers HTML whatever is asked for.
    #[must_use]
    pub fn html_only(mut self) -> Self {
        self.html_only = true;
        self
    }

    /// Offers no metadata files (PEP 658 off).
    #[must_use]
    pub fn without_metadata(mut self) -> Self {
        self.no_metadata = true;
        self
    }

    /// Adds a wheel.
    #[expect(
        clippy::should_implement_trait,
        reason = "reads as what it does: adds to the index"
    )]
    #[must_use]
    pub fn add(self, wheel: &WheelBuilder) -> Self {
        self.add_with(wheel, FileOptions::default())
    }

    /// Adds a wheel with options.
    #[must_use]
    pub fn add_with(mut self, wheel: &WheelBuilder, options: FileOptions) -> Self {
        self.insert(wheel, options);
        self
    }

    /// Adds a source distribution.
    #[must_use]
    pub fn add_sdist(self, sdist: &SdistBuilder) -> Self {
        self.add_sdist_with(sdist, FileOptions::default())
    }

    /// Adds a source distribution with options.
    #[must_use]
    pub fn add_sdist_with(mut self, sdist: &SdistBuilder, options: FileOptions) -> Self {
        let file = File {
            filename: sdist.filename(),
            version: sdist.version().into(),
            bytes: sdist.build(),
            metadata: None,
            requires_python: requires_python(&sdist.metadata_text()),
            options,
        };
        self.projects
            .entry(normalized(sdist.name()))
            .or_default()
            .push(file);
        self
    }

    /// Says something of a project.
    #[must_use]
    pub fn about(mut self, name: &str, about: About) -> Self {
        self.about.insert(normalized(name), about);
        self
    }

    /// Serves the index until the result is dropped.
    pub fn serve(self) -> IndexServer {
        let index = Arc::new(Mutex::new(self));
        let state = Arc::clone(&index);
        let server = Server::with_handler(move |request| lock(&state).answer(request));
        IndexServer { server, index }
    }

    fn insert(&mut self, wheel: &WheelBuilder, options: FileOptions) {
        let metadata = wheel.metadata_text();
        let file = File {
            filename: wheel.filename(),
            version: wheel.version().into(),
            bytes: wheel.build(),
            requires_python: requires_python(&metadata),
            metadata: Some(options.other_metadata.clone().unwrap_or(metadata)),
            options,
        };
        self.projects
            .entry(normalized(wheel.name()))
            .or_default()
            .push(file);
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        let path = &request.path;
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Some(Response::status(405));
        }
        if let Some(rest) = path.strip_prefix("/files/") {
            let (project, filename) = rest.split_once('/')?;
            return self.file(project, filename);
        }
        if let Some(rest) = path.strip_prefix("/integrity/") {
            let mut parts = rest.split('/');
            let (project, filename) = (parts.next()?, parts.nth(1)?);
            let files = self.projects.get(project)?;
            let file = files.iter().find(|file| file.filename == filename)?;
            let kind = "application/vnd.pypi.integrity.v1+json";
            return Some(Response::bytes(kind, file.options.provenance.clone()?));
        }
        if let Some(rest) = path.strip_prefix("/pypi/") {
            return self.project(rest.strip_suffix("/json")?);
        }
        let rest = path.strip_prefix("/simple")?;
        if rest == "/" {
            let names: Vec<Value> = self
                .projects
                .keys()
                .map(|name| json!({ "name": name }))
                .collect();
            let page = json!({ "meta": { "api-version": "1.1" }, "projects": names });
            let links = self
                .projects
                .keys()
                .map(|name| format!("<a href=\"{name}/\">{name}</a><br>\n"));
            return Some(self.negotiate(request, &page, &links.collect::<String>()));
        }
        let name = rest.strip_prefix('/')?;
        let Some(name) = name.strip_suffix('/') else {
            return Some(Response::status(301).header("location", format!("{path}/")));
        };
        let files = self.projects.get(name)?;
        Some(self.negotiate(request, &self.page(name, files), &self.html(name, files)))
    }

    /// The project JSON of `NAME` or `NAME/VERSION`.
    fn project(&self, rest: &str) -> Option<Response> {
        let (name, version) = match rest.split_once('/') {
            Some((name, version)) => (name, Some(version)),
            None => (rest, None),
        };
        let about = self.about.get(name)?;
        if version.is_some() && about.no_versions {
            return None;
        }
        let files = self.projects.get(name)?;
        let newest = files.last().map(|file| file.version.as_str());
        let roles: Vec<Value> = about
            .owners
            .iter()
            .map(|user| json!({ "role": "Owner", "user": user }))
            .collect();
        let open = about
            .open
            .iter()
            .map(|id| json!({ "id": id, "aliases": [], "fixed_in": [] }));
        let fixed = about.fixed.iter();
        let fixed = fixed.map(
            |(id, alias, version)| json!({ "id": id, "aliases": [alias], "fixed_in": [version] }),
        );
        let open: Vec<Value> = open.chain(fixed).collect();
        let project = json!({
            "info": { "name": name, "version": version.or(newest), "summary": about.summary },
            "ownership": { "organization": null, "roles": roles },
            "vulnerabilities": open,
        });
        Some(Response::bytes(
            "application/json",
            project.to_string().into_bytes(),
        ))
    }

    /// JSON where the client accepts it (PEP 691, "version + format selection").
    fn negotiate(&self, request: &Request, page: &Value, links: &str) -> Response {
        let accept = request.header("accept").unwrap_or("*/*");
        if accept.contains(JSON) && !self.html_only {
            return Response::bytes(JSON, page.to_string().into_bytes());
        }
        let kind = if accept.contains(HTML) {
            HTML
        } else {
            "text/html; charset=utf-8"
        };
        let meta = "<meta name=\"pypi:repository-version\" content=\"1.1\">";
        let text =
            format!("<!DOCTYPE html>\n<html><head>{meta}</head><body>\n{links}</body></html>\n");
        Response::bytes(kind, text.into_bytes())
    }

    fn file(&self, project: &str, filename: &str) -> Option<Response> {
        let files = self.projects.get(project)?;
        if let Some(file) = files.iter().find(|file| file.filename == filename) {
            return Some(Response::bytes(
                "application/octet-stream",
                file.bytes.clone(),
            ));
        }
        let wheel = filename.strip_suffix(".metadata")?;
        let file = files.iter().find(|file| file.filename == wheel)?;
        let metadata = self.metadata_of(file)?;
        Some(Response::bytes("text/plain", metadata.as_bytes().to_vec()))
    }

    fn metadata_of<'a>(&self, file: &'a File) -> Option<&'a str> {
        match self.no_metadata || file.options.no_metadata {
            true => None,
            false => file.metadata.as_deref(),
        }
    }

    fn page(&self, name: &str, files: &[File]) -> Value {
        let mut versions: Vec<&str> = files.iter().map(|file| file.version.as_str()).collect();
        versions.sort_unstable();
        versions.dedup();
        let files: Vec<Value> = files
            .iter()
            .map(|file| self.file_entry(name, file))
            .collect();
        let meta = json!({ "api-version": "1.1" });
        let mut page = json!({ "meta": meta, "name": name, "versions": versions, "files": files });
        let about = self.about.get(name);
        if let Some((state, reason)) = about.and_then(|about| about.status.as_ref()) {
            page["meta"]["api-version"] = "1.4".into();
            let says_state = about.is_some_and(|about| about.says_state);
            let key = if says_state { "state" } else { "status" };
            page["project-status"] = json!({ key: state, "reason": reason });
        }
        page
    }

    fn file_entry(&self, name: &str, file: &File) -> Value {
        let mut entry = json!({
            "filename": file.filename,
            "url": format!("../../files/{name}/{}", file.filename),
            "hashes": {},
            "size": file.size(),
            "yanked": false,
        });
        if let Some(hash) = file.hash() {
            entry["hashes"]["sha256"] = hash.into();
        }
        if let Some(specifier) = &file.requires_python {
            entry["requires-python"] = specifier.as_str().into();
        }
        if !file.options.no_upload_time {
            let time = file
                .options
                .upload_time
                .as_deref()
                .unwrap_or("2026-01-01T00:00:00Z");
            entry["upload-time"] = time.into();
        }
        if let Some(reason) = &file.options.yanked {
            entry["yanked"] = if reason.is_empty() {
                true.into()
            } else {
                reason.as_str().into()
            };
        }
        if let Some(metadata) = self.metadata_of(file) {
            let hash = file.metadata_hash(metadata);
            // PEP 714: the new name and the old one.
            entry["core-metadata"] = json!({ "sha256": hash });
            entry["data-dist-info-metadata"] = json!({ "sha256": hash });
        }
        if file.options.provenance.is_some() {
            let File {
                filename, version, ..
            } = file;
            // PEP 740; the path is the public index's own.
            let url = format!("/integrity/{name}/{version}/{filename}/provenance");
            entry["provenance"] = url.into();
        }
        entry
    }

    fn html(&self, name: &str, files: &[File]) -> String {
        let mut text = String::new();
        for file in files {
            let hash = file
                .hash()
                .map(|hash| format!("#sha256={hash}"))
                .unwrap_or_default();
            let mut attributes = String::new();
            if let Some(specifier) = &file.requires_python {
                let specifier = specifier.replace('>', "&gt;").replace('<', "&lt;");
                attributes.push_str(&format!(" data-requires-python=\"{specifier}\""));
            }
            if let Some(reason) = &file.options.yanked {
                attributes.push_str(&format!(" data-yanked=\"{reason}\""));
            }
            if let Some(metadata) = self.metadata_of(file) {
                let hash = file.metadata_hash(metadata);
                attributes.push_str(&format!(" data-core-metadata=\"sha256={hash}\""));
            }
            let filename = &file.filename;
            let url = format!("../../files/{name}/{filename}{hash}");
            text.push_str(&format!(
                "<a href=\"{url}\"{attributes}>{filename}</a><br>\n"
            ));
        }
        text
    }
}

impl File {
    fn hash(&self) -> Option<String> {
        match (self.options.no_hash, self.options.wrong_hash) {
            (true, _) => None,
            (_, true) => Some(crate::sha256_hex(b"something else")),
            _ => Some(crate::sha256_hex(&self.bytes)),
        }
    }

    fn metadata_hash(&self, metadata: &str) -> String {
        match self.options.wrong_metadata_hash {
            true => crate::sha256_hex(b"something else"),
            false => crate::sha256_hex(metadata.as_bytes()),
        }
    }

    fn size(&self) -> usize {
        self.bytes.len() + usize::from(self.options.wrong_size)
    }
}

impl IndexServer {
    /// The index URL, for `--index-url`.
    pub fn simple_url(&self) -> String {
        self.server.url("/simple/")
    }

    /// The path of a file on the server, for faults.
    pub fn file_path(&self, wheel: &WheelBuilder) -> String {
        format!("/files/{}/{}", normalized(wheel.name()), wheel.filename())
    }

    /// Adds a wheel while the index is served: the index moved on.
    pub fn add(&self, wheel: &WheelBuilder, options: FileOptions) {
        lock(&self.index).insert(wheel, options);
    }

    /// Says something of a project while the index is served.
    pub fn about(&self, name: &str, about: About) {
        lock(&self.index).about.insert(normalized(name), about);
    }

    /// Removes all files of a project.
    pub fn remove(&self, name: &str) {
        lock(&self.index).projects.remove(&normalized(name));
    }
}

/// The normalised name (PEP 503): lower case, runs of `-`, `_` and `.` as one `-`.
pub fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

fn requires_python(metadata: &str) -> Option<String> {
    let mut lines = metadata.lines().take_while(|line| !line.is_empty());
    lines
        .find_map(|line| line.strip_prefix("Requires-Python: "))
        .map(str::to_owned)
}

fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(index: &Index, path: &str, accept: &str) -> Option<Response> {
        let request = Request {
            method: "GET".into(),
            path: path.into(),
            target: path.into(),
            query: String::new(),
            headers: vec![("accept".into(), accept.into())],
            body: Vec::new(),
        };
        index.answer(&request)
    }

    fn text(response: Option<Response>) -> String {
        String::from_utf8(response.unwrap().body.to_vec()).unwrap()
    }

    #[test]
    fn json_page_has_hash_size_and_metadata_of_each_file() {
        let wheel = WheelBuilder::demo()
            .requires_python(">=3.9")
            .requires("other");
        let yanked = FileOptions {
            yanked: Some("bad".into()),
            ..FileOptions::default()
        };
        let lying = FileOptions {
            wrong_hash: true,
            no_metadata: true,
            ..FileOptions::default()
        };
        let index = Index::new()
            .add(&wheel)
            .add_with(&WheelBuilder::new("Demo", "1.1"), yanked)
            .add_with(&WheelBuilder::new("Demo", "1.2"), lying);
        let page: Value = serde_json::from_str(&text(ask(&index, "/simple/demo/", JSON))).unwrap();
        let file = &page["files"][0];
        assert_eq!(file["hashes"]["sha256"], crate::sha256_hex(&wheel.build()));
        assert_eq!(file["size"], wheel.build().len());
        assert_eq!(file["requires-python"], ">=3.9");
        let metadata = text(ask(
            &index,
            "/files/demo/demo-1.0-py3-none-any.whl.metadata",
            JSON,
        ));
        assert_eq!(metadata, wheel.metadata_text());
        assert_eq!(
            file["core-metadata"]["sha256"],
            crate::sha256_hex(metadata.as_bytes())
        );
        assert_eq!(page["files"][1]["yanked"], "bad");
        assert_eq!(page["files"][2]["core-metadata"], Value::Null);
        let other = crate::sha256_hex(&WheelBuilder::new("Demo", "1.2").build());
        assert_ne!(page["files"][2]["hashes"]["sha256"], other);
        assert_eq!(page["versions"], json!(["1.0", "1.1", "1.2"]));
    }

    #[test]
    fn html_page_is_for_those_who_ask_and_escapes_specifiers() {
        let index = Index::new().add(&WheelBuilder::demo().requires_python(">=3.9"));
        let page = text(ask(&index, "/simple/demo/", "text/html"));
        assert!(page.contains("data-requires-python=\"&gt;=3.9\" data-core-metadata=\"sha256="));
        assert!(page.contains("href=\"../../files/demo/demo-1.0-py3-none-any.whl#sha256="));
        let page = text(ask(
            &index.html_only().without_metadata(),
            "/simple/demo/",
            JSON,
        ));
        assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("core-metadata"));
    }

    #[test]
    fn a_project_says_who_owns_it_when_it_is_told_to() {
        let about = About {
            owners: vec!["ann".into()],
            status: Some(("archived".into(), "done".into())),
            ..About::default()
        };
        let index = Index::new().add(&WheelBuilder::demo()).about("Demo", about);
        let project = text(ask(&index, "/pypi/demo/1.0/json", "*/*"));
        assert!(project.contains("\"user\":\"ann\""), "{project}");
        assert!(text(ask(&index, "/simple/demo/", JSON)).contains("archived"));
        assert!(
            ask(
                &Index::new().add(&WheelBuilder::demo()),
                "/pypi/demo/json",
                "*/*"
            )
            .is_none()
        );
    }

    #[test]
    fn unknown_names_are_not_found_and_the_slash_is_added() {
        let index = Index::new().add(&WheelBuilder::demo());
        assert!(ask(&index, "/simple/gone/", JSON).is_none());
        assert_eq!(ask(&index, "/simple/demo", JSON).unwrap().status, 301);
        assert_eq!(normalized("My__Demo.x"), "my-demo-x");
    }
}

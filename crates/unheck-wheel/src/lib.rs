//! Wheels as data: strict zip, RECORD, METADATA, WHEEL, entry points and the install plan.
//!
//! API (being filled in; the signatures stand):
//! ```text
//! WheelName: FromStr + Display { distribution, version, build: Option<String>, python: Vec<String>, abi, platform }
//!     .project() -> String (PEP 503 name)   .tags() -> BTreeSet<String>
//! normalize_name(&str) -> String;  same_version(&str, &str) -> bool
//! Limits { entries, depth, central_directory, total_ratio, total_slack, entry_ratio, entry_ratio_from, metadata, fields, script }: Default
//!
//! Wheel::open(reader: &mut (impl Read + Seek), len: u64, &WheelName, &Limits) -> Result<Wheel, WheelError>   // keeps no reader
//!     .name() -> &WheelName  .metadata() -> &Metadata  .info() -> &WheelInfo  .entry_points() -> &EntryPoints
//!     .members() -> &[Member { path: TreePath, is_dir, size, executable, .. }]  .digest(index) -> Option<Digest>
//!     .dist_info() -> &str   .modules() -> BTreeMap<String, ModuleKind>   .facts(stdlib: &BTreeSet<String>) -> Vec<Fact>
//!     .unpack(&self, reader: &mut (impl Read + Seek), sink: &mut dyn FnMut(usize, &Member, &mut dyn Read) -> io::Result<()>) -> Result<(), UnpackError>
//! plan(&Wheel, &Scheme, &PlanOptions) -> Result<Vec<Planned>, PlanError>
//!     Scheme { purelib, platlib, scripts, data, headers: TreePath, python: String, protected: Vec<TreePath> }
//!     PlanOptions { requested: bool, direct_url: Option<String> }
//!     Planned { path: TreePath, source: Source::{Member(usize), Inline(Vec<u8>)}, mode: u32, size: u64, digest: Digest }
//! Metadata { metadata_version, name, version, summary, requires_python, requires_dist, provides_extra, import_names,
//!            import_namespaces, license_expression, license, license_files, classifiers, project_urls, home_page, author, author_email, maintainer, keywords, dynamic }
//! EntryPoints { console_scripts: BTreeMap<String, ObjectRef { module, attr }>, gui_scripts, other: BTreeMap<String, BTreeMap<String, String>> }
//! ```

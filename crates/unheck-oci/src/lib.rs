//! OCI images: layers, config, layout and archive, validation.
//!
//! Writes and reads what OCI image-spec 1.1 describes, and the archive of `docker save`.
//! Refuses to talk to a network and knows nothing of what is inside a layer.
//! Read [`layout::write_archive`] first, then [`layer::LayerWriter`] and [`open::open`].

// PUBLIC API (planned signatures; each module is being filled in)
//
// mod tar_writer
//   struct Entry<'a> { path: &'a TreePath, mode: u32, uid: u32, gid: u32, mtime: i64, kind: EntryKind<'a> }
//   enum EntryKind<'a> { Dir, File { len: u64 }, Symlink(&'a str), Hardlink(&'a TreePath) }
//   struct TarWriter<W: Write>;  TarWriter::new(out)
//     .append(&mut self, &Entry, content: &mut dyn Read) -> Result<(), TarError>
//     .append_bytes(&mut self, &Entry, content: &[u8]) -> Result<(), TarError>   // b"" for all but files
//     .finish(self) -> Result<W, TarError>
// mod layer
//   enum Compression { None, Gzip { level: u32 }, Zstd { level: i32, workers: u32 } }
//   struct LayerWriter<W: Write>;  LayerWriter::new(out, Compression) -> Result<Self, LayerError>
//     .append / .append_bytes (as TarWriter);  .finish(self) -> Result<(Layer, W), LayerError>
//   struct Layer { diff_id, digest, size, uncompressed_size, media_type: LayerMediaType }  // Serialize + Deserialize
//     .descriptor(&self) -> Descriptor
// mod image
//   struct Platform { architecture, os, variant: Option<String>, .. }   FromStr "linux/arm64/v8", Display
//   struct Config { created, author, platform fields, config: Execution, rootfs: RootFs, history: Vec<History> }
//   struct Execution { user, env, entrypoint, cmd, working_dir, labels, stop_signal, exposed_ports, volumes }
//   struct Descriptor, Manifest, Index;   fn canonical_json(&impl Serialize) -> Vec<u8>
// mod layout
//   struct Image { config: Config (rootfs.diff_ids filled from layers), layers: Vec<Layer>, annotations }
//   struct Images { images: Vec<Image>, name: Option<String> /* `name:tag` */, annotations }
//   fn plan(&Images) -> Result<Plan, PlanError>;  Plan { .digest() root manifest or index, .descriptor(), .. }
//   trait BlobSource { fn open(&self, digest: &Digest) -> io::Result<Blob> }  enum Blob { File(fs_err::File), Bytes(Vec<u8>) }
//   fn write_layout(dir: &Path, &Plan, &dyn BlobSource) -> Result<(), WriteError>
//   fn write_archive(path: &Path, &Plan, &dyn BlobSource) -> Result<ArchiveRecord, WriteError>
//   fn write_archive_to(out: &mut dyn Write, &Plan, &dyn BlobSource) -> Result<(), WriteError>
//   fn update_archive(path: &Path, previous: &ArchiveRecord, &Plan, &dyn BlobSource) -> Result<ArchiveRecord, WriteError>
// mod open
//   fn open(path: &Path) -> Result<Opened, OpenError>
//   Opened: .images() -> Result<Vec<OpenedImage>, OpenError>; .select(&Platform) -> Result<OpenedImage, OpenError>;
//           .blob(&Descriptor) -> Result<BlobReader, OpenError> (Read; verifies at the end); .blob_bytes(&Descriptor, limit)
//   OpenedImage { names, descriptor, platform, manifest, config }
// mod layer_reader
//   fn read_layer(reader: impl Read, &ReadOptions { media_type, diff_id: Option<Digest>, limits },
//                 visit: &mut dyn FnMut(&LayerEntry, &mut dyn Read) -> io::Result<()>) -> Result<LayerSummary, ReadLayerError>
//   LayerEntry { path, mode, uid, gid, mtime, kind: NodeKind { Dir, File{len}, Symlink(String), Hardlink(TreePath),
//                 CharDevice, BlockDevice, Fifo, Whiteout{hides: TreePath}, Opaque{directory: Option<TreePath>} } }
// mod validate
//   fn validate(&Opened) -> Vec<Problem>

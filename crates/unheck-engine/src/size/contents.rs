//! A second reading of an image, for what the bytes of its files tell: how much of a layer's blob
//! each takes, what kind it is, what it imports, what strip would save. Start at [`read`].
//!
//! The share of a file is what it adds to a Zstandard stream over the layer's files in the order
//! of the layer, scaled so that the shares of a layer add up to its blob. It is an estimate: no
//! compressor can say what one file costs, since each is shorter for what stood before it.
//! Keeps no content beyond the file that it reads.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use unheck_base::{Digest, Hasher, TreePath};
use unheck_elf::Object;
use unheck_oci::image::Descriptor;
use unheck_oci::layer_reader::{LayerEntry, Limits, NodeKind, ReadOptions, read_layer};
use unheck_oci::open::{Opened, OpenedImage, open};

use super::kind::Head;
use crate::inside::{Inside, InsideError, layer_media_type};
use crate::layout::{APP_DIR, Layout};
use crate::scan::{ArchiveFacts, named_in, scan_source};
use crate::steps::TrimFacts;
use crate::steps::imports::Objects;
use crate::tree::Origin;

/// The level of unheck's own layers, see [`crate::write::Compression`].
const LEVEL: i32 = 3;

/// Longest Python file that is searched for imports, as in [`crate::scan`].
const MAX_SOURCE: u64 = 8 << 20;

/// Longest object that is held in memory to see what strip would save, as in [`crate::steps`].
const MAX_OBJECT: u64 = 96 << 20;

/// What the bytes of one platform's files tell.
pub(super) struct Contents {
    /// By layer, the lowest first, and path.
    pub(super) layers: Vec<BTreeMap<TreePath, Content>>,
    /// What shipped source imports, of what might be left out.
    pub(super) facts: TrimFacts,
    /// Its ELF objects.
    pub(super) objects: Objects,
}

/// What the bytes of one file tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    /// Its share of the layer's blob, in bytes.
    pub(super) packed: u64,
    /// What it begins with.
    pub(super) head: Head,
    /// Its digest, where artifacts are compared.
    pub(super) digest: Option<Digest>,
    /// Bytes that strip would save.
    pub(super) strippable: u64,
}

/// Reads every file of every platform of the image at `path`, which was looked into already.
///
/// `None` when it is no image but another form: its bytes are not in layers.
///
/// # Errors
/// [`InsideError`] when a layer cannot be read.
pub(super) fn read(
    path: &Path,
    platforms: &[Inside],
    compare: bool,
) -> Result<Option<Vec<Contents>>, InsideError> {
    // It was looked into before, so what cannot be opened as an image is another form.
    let Ok(opened) = open(path) else {
        return Ok(None);
    };
    let images = opened.images()?;
    platforms
        .iter()
        .zip(&images)
        .map(|(inside, image)| image_contents(&opened, image, inside, compare))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

fn image_contents(
    opened: &Opened,
    image: &OpenedImage,
    inside: &Inside,
    compare: bool,
) -> Result<Contents, InsideError> {
    let layout = super::layout(inside);
    let layers = image
        .manifest
        .layers
        .par_iter()
        .enumerate()
        .map(|(number, descriptor)| {
            let mut reading = Reading {
                number,
                inside,
                layout: layout.as_ref(),
                compare,
                facts: ArchiveFacts::default(),
                weights: Vec::new(),
            };
            reading.layer(opened, descriptor)?;
            let shares = shares(&reading.weights, descriptor.size);
            let files = reading.weights.into_iter().zip(shares);
            let files: BTreeMap<TreePath, Content> = files
                .map(|((path, content), packed)| (path, Content { packed, ..content }))
                .collect();
            Ok((files, reading.facts))
        })
        .collect::<Result<Vec<_>, InsideError>>()?;
    let mut facts = TrimFacts::default();
    let mut objects = BTreeMap::new();
    let layers = layers
        .into_iter()
        .map(|(files, found)| {
            facts.add(&found);
            let found = found.objects.into_iter();
            objects.extend(found.map(|(path, object)| (path, Arc::new(object))));
            files
        })
        .collect();
    let objects = Objects::read(objects);
    Ok(Contents {
        layers,
        facts,
        objects,
    })
}

/// Weights scaled to whole bytes that add up to `blob`.
fn shares(weights: &[(TreePath, Content)], blob: u64) -> Vec<u64> {
    let all: u128 = weights.iter().map(|(_, one)| u128::from(one.packed)).sum();
    let mut seen: u128 = 0;
    let mut given: u128 = 0;
    weights
        .iter()
        .map(|(_, one)| {
            seen += u128::from(one.packed);
            let upto = (seen * u128::from(blob))
                .checked_div(all)
                .unwrap_or_default();
            let share = upto - given;
            given = upto;
            u64::try_from(share).unwrap_or(u64::MAX)
        })
        .collect()
}

/// The reading of one layer.
struct Reading<'a> {
    number: usize,
    inside: &'a Inside,
    layout: Option<&'a Layout>,
    compare: bool,
    facts: ArchiveFacts,
    /// In the order of the archive; `packed` is not scaled yet.
    weights: Vec<(TreePath, Content)>,
}

impl Reading<'_> {
    fn layer(&mut self, opened: &Opened, descriptor: &Descriptor) -> Result<(), InsideError> {
        let number = self.number + 1;
        let media_type = layer_media_type(descriptor, self.number)?;
        let options = ReadOptions {
            media_type,
            diff_id: None,
            limits: Limits::default(),
        };
        let layer = |source| InsideError::Layer {
            number,
            source: Box::new(source),
        };
        let mut scales = zstd::stream::write::Encoder::new(Count(0), LEVEL).map_err(|source| {
            layer(unheck_oci::layer_reader::ReadLayerError::Decompressor(
                source,
            ))
        })?;
        let blob = opened.blob(descriptor)?;
        read_layer(blob, &options, &mut |entry, reader| {
            self.entry(entry, reader, &mut scales)
        })
        .map_err(layer)?;
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &LayerEntry,
        reader: &mut dyn Read,
        scales: &mut zstd::stream::write::Encoder<'static, Count>,
    ) -> std::io::Result<()> {
        let before = scales.get_ref().0;
        // Stands for the header, of which the name is what does not compress to nothing.
        scales.write_all(entry.path.as_str().as_bytes())?;
        let mut content = Content {
            packed: 0,
            head: Head::Other,
            digest: None,
            strippable: 0,
        };
        match &entry.kind {
            NodeKind::File { len } => self.file(entry, *len, reader, (scales, &mut content))?,
            NodeKind::Symlink(text) => scales.write_all(text.as_bytes())?,
            NodeKind::Hardlink(other) => scales.write_all(other.as_str().as_bytes())?,
            _ => return Ok(()),
        }
        scales.flush()?;
        content.packed = scales.get_ref().0 - before;
        self.weights.push((entry.path.clone(), content));
        Ok(())
    }

    fn file(
        &mut self,
        entry: &LayerEntry,
        len: u64,
        reader: &mut dyn Read,
        (scales, content): (
            &mut zstd::stream::write::Encoder<'static, Count>,
            &mut Content,
        ),
    ) -> std::io::Result<()> {
        let source = self.source(&entry.path).filter(|_| len <= MAX_SOURCE);
        let object = len <= MAX_OBJECT && self.layout.is_some();
        let mut hasher = self.compare.then(Hasher::new);
        let mut kept = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        let mut first = true;
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            let bytes = &buffer[..read];
            if first {
                content.head = Head::of(bytes);
                first = false;
            }
            if source.is_some() || (object && content.head == Head::Elf) {
                kept.extend_from_slice(bytes);
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            scales.write_all(bytes)?;
        }
        content.digest = hasher.map(Hasher::finish);
        if let Some(inner) = source {
            scan_source(&inner, &kept, &mut self.facts);
        } else if !kept.is_empty() {
            self.object(entry, &kept, content);
        }
        Ok(())
    }

    /// What strip would save of an object, what it needs and, of those that are not the system's, what it names.
    fn object(&mut self, entry: &LayerEntry, bytes: &[u8], content: &mut Content) {
        if self.strips(entry)
            && let Ok(Some(stripped)) = unheck_elf::strip_unneeded(bytes)
        {
            content.strippable = (bytes.len() - stripped.len()) as u64;
        }
        let origin = self.inside.files.get(&entry.path).map(|file| &file.origin);
        if matches!(origin, Some(Origin::Distribution(_) | Origin::App)) {
            self.facts.optional.extend(named_in(bytes));
        }
        if let Ok(object) = Object::parse(bytes) {
            self.facts.objects.insert(entry.path.clone(), object);
        }
    }

    /// The path of shipped Python source below the directory that it is imported from.
    fn source(&self, path: &TreePath) -> Option<TreePath> {
        let layout = self.layout?;
        let inner = [layout.site.as_str(), APP_DIR]
            .iter()
            .find_map(|top| path.as_str().strip_prefix(top)?.strip_prefix('/'))?;
        inner.ends_with(".py").then(|| TreePath::new(inner).ok())?
    }

    /// Whether the step `strip` looks at this file: Debian strips its own (Policy 10.1).
    fn strips(&self, entry: &LayerEntry) -> bool {
        let path = &entry.path;
        let named = crate::close::is_library_name(path.file_name()) || entry.mode & 0o111 != 0;
        named
            && self.layout.is_some()
            && self.inside.files.get(path).is_some_and(|file| {
                file.layer == self.number
                    && matches!(file.origin, Origin::Distribution(_) | Origin::Interpreter)
            })
    }
}

/// Counts what is written to it.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(packed: u64) -> (TreePath, Content) {
        let content = Content {
            packed,
            head: Head::Other,
            digest: None,
            strippable: 0,
        };
        (TreePath::new("a").expect("path"), content)
    }

    #[test]
    fn shares_add_up_to_the_blob() {
        let weights = [weight(1), weight(1), weight(1), weight(7)];
        assert_eq!(shares(&weights, 100), [10, 10, 10, 70]);
        for blob in [0, 1, 2, 99, u64::MAX] {
            assert_eq!(shares(&weights, blob).iter().sum::<u64>(), blob);
        }
        assert_eq!(shares(&[weight(0)], 5), [0]);
        assert!(shares(&[], 5).is_empty());
    }
}

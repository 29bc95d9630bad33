//! Images are as small as was promised.

use crate::kit::{build, directory, example};

/// Most bytes of all compressed layers.
const LIMITS: [(&str, u64); 2] = [("hello", 11_000_000), ("web", 16_000_000)];

#[test]
#[ignore = "live: index and Debian archive"]
fn small_projects_have_small_images() {
    let directory = directory();
    let mut found = Vec::new();
    for (name, limit) in LIMITS {
        let image = directory.path().join(format!("{name}.oci.tar"));
        let flags = ["--compression", "zstd:19", "--trim", "safe"];
        let built = build(&example(name, directory.path()), &image, &flags);
        let platform = &built["platforms"][0];
        let layers = platform["layers"].as_array().unwrap();
        let sum: u64 = layers
            .iter()
            .map(|layer| layer["compressed"].as_u64().unwrap())
            .sum();
        assert_eq!(platform["compressed"], sum);
        found.push((name, sum, limit));
    }
    println!("{found:?}");
    let over: Vec<_> = found
        .iter()
        .filter(|(_, size, limit)| size > limit)
        .collect();
    assert!(over.is_empty(), "larger than promised: {over:?}");
}

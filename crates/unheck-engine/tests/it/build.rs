//! What a build makes of a small project, and what it makes again after a change.

use crate::support::*;

#[test]
fn probe() {
    let fixture = Fixture::new().pyproject(&["demo", "native"], "");
    let t = std::time::Instant::now();
    let outcome = fixture.build();
    eprintln!("{:?}", t.elapsed());
    println!("{}", fixture.redact(&fixture.run.lock_text()));
    for (name, text) in fixture.run.layers("linux/amd64") {
        println!("== {name}\n{text}");
    }
    println!("{:#?}", outcome);
    let t = std::time::Instant::now();
    let again = fixture.build();
    eprintln!("{:?} {:?}", t.elapsed(), again.built.image.unchanged);
}

//! Every target on its seeds, and on findings that were added to them.

use std::fs;
use std::path::Path;

use eventcast_fuzz::TARGETS;

#[test]
fn every_target_takes_its_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    assert_eq!(fs::read_dir(&seeds).unwrap().count(), TARGETS.len());
    for (name, check) in TARGETS {
        let files = fs::read_dir(seeds.join(name)).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            println!("{}", file.display());
            check(&fs::read(file).unwrap());
        }
    }
}

#[test]
fn every_target_takes_nothing() {
    for (_, check) in TARGETS {
        for length in 0..5 {
            check(&[0; 5][..length]);
        }
    }
}

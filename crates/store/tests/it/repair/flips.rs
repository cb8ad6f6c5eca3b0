use leftfold_api::Coded;
use leftfold_io::Disk;
use leftfold_io::fake::{Crash, FakeDisk, SeededRandom};
use leftfold_store::{Compression, RepairMode};

use super::support::{check, filled, open, read, repair};

fn segments(disk: &FakeDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".seg")).collect()
}

/// Flips single bits all over the log: frame headers, records, blocks, tables, footers, file headers.
fn flip_everywhere(compression: Compression, step: usize) {
    let (disk, truth) = filled(compression);
    let (mut damaged, mut harmless, mut cost) = (0, 0, 0);
    for name in segments(&disk) {
        let len = disk.bytes(&name).unwrap().len();
        // All bytes of headers and footers, which are small.
        let edges = (0..64.min(len)).chain(len.saturating_sub(100)..len);
        for at in (0..len).step_by(step).chain(edges) {
            let copy = disk.after(Crash::Keeps);
            copy.rot(&name, at as u64, 1 << (at % 8));
            let report = check(&copy, compression, &truth, &format!("{name} at {at}"));
            match report.damaged.len() {
                0 => harmless += 1,
                _ => damaged += 1,
            }
            cost += report.lost.len();
            assert!(
                compression != Compression::Off || report.lost.len() <= 3,
                "{name} at {at}: {report:?}"
            );
        }
    }
    println!("{compression:?}: {damaged} damaged, {harmless} harmless, {cost} lost");
    assert!(damaged > 100 && harmless > 0 && cost > 50);
}

#[test]
fn a_flipped_bit_of_an_uncompressed_log_loses_only_its_events() {
    flip_everywhere(Compression::Off, 23);
}

#[test]
fn a_flipped_bit_of_a_compressed_log_loses_only_its_events() {
    flip_everywhere(Compression::Fast, 23);
}

#[test]
fn a_flipped_bit_of_a_log_with_dictionaries_loses_only_its_events() {
    flip_everywhere(Compression::Small, 31);
}

/// Damages several places at once: index files too, long ranges, and truncated files.
#[test]
fn much_damage_loses_only_the_damaged_events() {
    let mut cost = 0;
    for seed in 0..120 {
        let compression =
            [Compression::Off, Compression::Fast, Compression::Small][seed as usize % 3];
        let (disk, truth) = filled(compression);
        let random = SeededRandom::new(seed);
        let open = disk.bytes(segments(&disk).last().unwrap()).unwrap();
        let mark = open.windows(4).rposition(|bytes| bytes == b"LFRM").unwrap() as u64;
        let files: Vec<_> = disk.names().into_iter().filter(|name| name.contains('/')).collect();
        for _ in 0..1 + random.below(5) {
            let name = &files[random.below(files.len() as u64) as usize];
            // It may have been removed before.
            let Some(len) = disk.bytes(name).map(|bytes| bytes.len() as u64) else { continue };
            // At the end of the log, damage that includes the last mark looks like a torn tail.
            let len = if name == segments(&disk).last().unwrap() { mark } else { len };
            let (at, stretch) = (random.below(len), 1 + random.below(300));
            let file = disk.open(name, leftfold_io::OpenMode::Write).unwrap();
            match random.below(6) {
                0 if name.ends_with(".idx") => disk.remove(name).unwrap(),
                1 if name != segments(&disk).last().unwrap() => file.set_len(at).unwrap(),
                _ => (at..(at + stretch).min(len)).for_each(|at| disk.rot(name, at, 0x55)),
            }
        }
        cost += check(&disk, compression, &truth, &format!("seed {seed}")).lost.len();
    }
    assert!(cost > 500, "{cost}");
}

#[test]
fn a_missing_segment_becomes_placeholders_with_known_streams() {
    let (disk, truth) = filled(Compression::Fast);
    let second = segments(&disk)[1].clone();
    disk.remove(&second).unwrap();
    assert_eq!(open(&disk, Compression::Fast).err().unwrap().code(), "store_unusable");
    let report = check(&disk, Compression::Fast, &truth, "the second segment");
    assert!(report.lost.len() > 3);
    assert!(report.lost.iter().all(|event| event.certain), "its index file lists them: {report:?}");
}

#[test]
fn a_store_without_damage_is_not_changed() {
    for compression in [Compression::Off, Compression::Fast, Compression::Small] {
        let (disk, truth) = filled(compression);
        let before = super::support::bytes(&disk);
        let report = repair(&disk, RepairMode::Quarantine).unwrap();
        assert!(report.damaged.is_empty() && report.lost.is_empty(), "{report:?}");
        assert_eq!(report.events as usize, truth.len());
        assert_eq!(super::support::bytes(&disk), before);
        let (store, _) = open(&disk, compression).unwrap();
        assert_eq!(read(&store), truth);
        assert_eq!(repair(&disk, RepairMode::Report).unwrap_err().code(), "store_locked");
    }
    assert_eq!(repair(&FakeDisk::new(), RepairMode::Report).unwrap_err().code(), "store_missing");
}

/// A write that was interrupted by a power cut was never acknowledged.
#[test]
fn a_torn_tail_is_not_damage() {
    for seed in 0..40 {
        let (disk, mut truth) = filled(Compression::Fast);
        let (store, mut manual) = open(&disk, Compression::Fast).unwrap();
        disk.cut_power_at(disk.counts().changes + 2);
        let append = leftfold_api::Append::new().event("s-1", super::support::event(200));
        assert!(
            super::support::drive(&mut manual, leftfold_api::EventStore::append(&store, append))
                .is_err()
        );
        drop((store, manual));
        let torn = disk.after(Crash::Tears(seed));
        assert!(repair(&torn, RepairMode::Report).unwrap().damaged.is_empty(), "seed {seed}");
        let (store, _) = open(&torn, Compression::Fast).unwrap();
        let found = read(&store);
        if found.len() > truth.len() {
            truth.extend(found.last_key_value().map(|(at, event)| (*at, event.clone())));
        }
        assert_eq!(found, truth);
    }
}

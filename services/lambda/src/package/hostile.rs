//! Zips that mean harm. None of them may panic, write outside of its folder, or cost more than a bounded amount of
//! memory, disk and time.

use super::*;
use crate::tests::{Piece, zip_of};
use bytes::Bytes;
use proptest::prelude::*;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// Where the fields of an entry lie in its local and its central header.
/// Source: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, 4.3.7 and 4.3.12.
const FLAGS: (usize, usize) = (6, 8);
const METHOD: (usize, usize) = (8, 10);
const SUM: (usize, usize) = (14, 16);
const PACKED_BYTES: (usize, usize) = (18, 20);
const BYTES: (usize, usize) = (22, 24);
const NAME: (usize, usize) = (30, 46);

/// The zip with one field of its first entry replaced, in both headers.
fn patched(zip: &[u8], field: (usize, usize), bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip.to_vec();
    let central = zip.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    for at in [field.0, central + field.1] {
        zip[at..at + bytes.len()].copy_from_slice(bytes);
    }
    zip
}

fn one_file() -> Bytes {
    zip_of(&[Piece::Stored("app.py", b"hello hello hello")])
}

/// What becomes of a zip: it is unpacked beside nothing else, and checking says the same as unpacking.
fn outcome(zip: &[u8]) -> Result<u64, UnpackError> {
    let outer = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir_in(outer.path()).unwrap();
    let outcome = unpack(zip, Target::Folder(folder.path()));
    assert_eq!(outer.path().read_dir().unwrap().count(), 1, "something was written outside");
    assert_eq!(outcome.as_ref().ok(), unpack(zip, Target::Nowhere).as_ref().ok(), "checking and unpacking must agree");
    outcome
}

#[track_caller]
fn refused(zip: &[u8]) {
    let outcome = outcome(zip);
    assert!(matches!(outcome, Err(UnpackError::Refused(ParameterError::NotUnzippable))), "{outcome:?}");
}

#[test]
fn encrypted_entries_and_unknown_methods_are_refused() {
    assert_eq!(outcome(&one_file()).unwrap(), 17);
    refused(&patched(&one_file(), FLAGS, &1u16.to_le_bytes()));
    for method in [1u16, 9, 12, 14, 93, 95, 98, 99, 0xffff] {
        refused(&patched(&one_file(), METHOD, &method.to_le_bytes()));
    }
}

#[test]
fn sums_and_sizes_that_lie_are_refused() {
    refused(&patched(&one_file(), SUM, &[0; 4]));
    for bytes in [0u32, 16, 18, 0xffff_fffe] {
        refused(&patched(&one_file(), BYTES, &bytes.to_le_bytes()));
    }
    for bytes in [0u32, 16, 0x7fff_ffff] {
        refused(&patched(&one_file(), PACKED_BYTES, &bytes.to_le_bytes()));
    }
    let deflated = zip_of(&[Piece::File("app.py", 0o644, &[b'x'; 10_000])]);
    for bytes in [1u32, 9_999, 10_001, 0xffff_fffe] {
        refused(&patched(&deflated, BYTES, &bytes.to_le_bytes()));
    }
}

fn zip64() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    writer.start_file("app.py", options).unwrap();
    writer.write_all(b"hello hello hello").unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn zip64_is_read_and_one_that_lies_is_refused() {
    let zip = zip64();
    let field =
        zip.windows(4).position(|window| window == [0x01, 0x00, 0x10, 0x00]).expect("it has a field for long sizes");
    assert_eq!(outcome(&zip).unwrap(), 17);
    for size in [u64::MAX, 1 << 40, 18] {
        let mut lying = zip.clone();
        // Both the size and the packed size, wherever the field is repeated.
        for at in 0..lying.len() - 20 {
            if lying[at..at + 4] == [0x01, 0x00, 0x10, 0x00] {
                lying[at + 4..at + 12].copy_from_slice(&size.to_le_bytes());
                lying[at + 12..at + 20].copy_from_slice(&size.to_le_bytes());
            }
        }
        let central = lying.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        assert!(field < central);
        lying[central + 20..central + 28].copy_from_slice(&18u64.to_le_bytes().map(|_| 0xfe));
        refused(&lying);
    }
}

#[test]
fn names_that_are_no_text_are_read_as_zips_mean_them_or_refused() {
    // Without the flag for UTF-8 the name is in the old code page, in which every byte is a letter.
    let old = patched(&one_file(), NAME, b"\xff\xfe");
    assert_eq!(outcome(&old).unwrap(), 17);
    refused(&patched(&one_file(), NAME, b"a\0"));
    refused(&patched(&one_file(), NAME, b"../"));
    refused(&patched(&one_file(), NAME, b"/"));
    // A backslash is a letter like any other on Linux.
    assert_eq!(outcome(&patched(&one_file(), NAME, b"..\\")).unwrap(), 17);
}

#[test]
fn a_zip_that_is_cut_off_anywhere_is_refused() {
    let whole = zip_of(&[Piece::File("d/app.py", 0o755, &[b'x'; 500]), Piece::Link("d/l", "app.py")]);
    for bytes in 0..whole.len() {
        let outcome = unpack(&whole[..bytes], Target::Nowhere);
        assert!(matches!(outcome, Err(UnpackError::Refused(_))), "{bytes} bytes: {outcome:?}");
    }
}

#[test]
fn links_cannot_lead_out_over_other_links() {
    let chain = [Piece::Folder("d/"), Piece::Link("d/l", ".."), Piece::Link("x", "d/l/../..")];
    refused(&zip_of(&chain));
    refused(&zip_of(&[Piece::Link("x", "missing/../.."), Piece::File("f", 0o644, b"")]));
    refused(&zip_of(&[Piece::Link("a", "."), Piece::Link("x", "a/..")]));
    refused(&zip_of(&[Piece::Link("x", "f/../.."), Piece::File("f", 0o644, b"")]));
    let inside = [Piece::File("d/e/f", 0o644, b"1"), Piece::Link("d/x", "e/../../d/e/f"), Piece::Link("y", "d/../d/x")];
    assert_eq!(outcome(&zip_of(&inside)).unwrap(), 1 + 13 + 8);
    let long = "d/".repeat(2_000);
    refused(&zip_of(&[Piece::Link("x", &long), Piece::File("f", 0o644, b"")]));
}

#[test]
fn modes_that_would_harm_are_not_kept() {
    let outer = tempfile::tempdir().unwrap();
    let zip = zip_of(&[
        Piece::File("secret", 0o000, b"x"),
        Piece::File("setuid", 0o6755, b"x"),
        Piece::File("open", 0o777, b"x"),
    ]);
    unpack(&zip, Target::Folder(outer.path())).unwrap();
    let mode = |name: &str| outer.path().join(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(["secret", "setuid", "open"].map(mode), [0o644, 0o755, 0o755]);
}

#[test]
fn deep_folders_are_unpacked_and_bounded_in_number() {
    let deep = format!("{}f", "d/".repeat(1_700));
    assert_eq!(outcome(&zip_of(&[Piece::File(&deep, 0o644, b"x")])).unwrap(), 1);
    // Each name makes more than a thousand folders of its own: 170 names would be 290,000 folders.
    let names: Vec<String> = (0..170).map(|n| format!("{n:03}/{}f", "d/".repeat(1_700))).collect();
    let pieces: Vec<Piece<'_>> = names.iter().map(|name| Piece::File(name, 0o644, b"")).collect();
    let zip = zip_of(&pieces);
    assert!(zip.len() < 2_000_000);
    let outcome = unpack(&zip, Target::Nowhere);
    assert!(matches!(outcome, Err(UnpackError::Refused(ParameterError::NotUnzippable))), "{outcome:?}");
}

#[test]
fn many_entries_of_the_same_bytes_are_counted_each() {
    // A bomb whose entries all claim the same packed bytes: the central directory repeats one entry.
    let zip = zip_of(&[Piece::File("aaaaaaaa", 0o644, &vec![0; 20_000_000])]).to_vec();
    let central = zip.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let end = zip.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    let (data, entry, mut tail) = (&zip[..central], &zip[central..end], zip[end..].to_vec());
    let mut bomb = data.to_vec();
    let count = 20u16;
    for n in 0..count {
        let mut copy = entry.to_vec();
        copy[46..54].copy_from_slice(format!("{n:08}").as_bytes());
        bomb.extend(copy);
    }
    for at in [8, 10] {
        tail[at..at + 2].copy_from_slice(&count.to_le_bytes());
    }
    tail[12..16].copy_from_slice(&u32::try_from(entry.len() * usize::from(count)).unwrap().to_le_bytes());
    bomb.extend(tail);
    let outcome = unpack(&bomb, Target::Nowhere);
    assert!(matches!(outcome, Err(UnpackError::Refused(_))), "{outcome:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..Default::default() })]

    /// Valid zips with some bytes changed, removed or repeated. Nothing panics, nothing fails for a reason that
    /// would be the machine's, and nothing is written outside.
    #[test]
    fn mutated_zips_do_no_harm(changes in prop::collection::vec((any::<u16>(), any::<u8>(), 0u8..4), 1..8), long in any::<bool>()) {
        let mut zip = if long { zip64() } else {
            zip_of(&[Piece::File("d/app.py", 0o755, b"print('hello hello')"), Piece::Link("d/l", "../e/f"), Piece::Stored("e/f", b"x"), Piece::Folder("g/")]).to_vec()
        };
        for (at, byte, kind) in changes {
            let at = usize::from(at) % zip.len().max(1);
            match kind {
                0 => zip[at] = byte,
                1 => zip[at] ^= 1 << (byte % 8),
                2 => { zip.remove(at); }
                _ => { let copy = zip[at..zip.len().min(at + usize::from(byte % 32))].to_vec(); zip.splice(at..at, copy); }
            }
            if zip.is_empty() { break; }
        }
        let outcome = outcome(&zip);
        prop_assert!(!matches!(outcome, Err(UnpackError::Io(_))), "{outcome:?}");
    }
}

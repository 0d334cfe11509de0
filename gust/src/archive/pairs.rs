//! Lists of byte strings: each is a u32 (little-endian) with its length, and its bytes.

use std::io::{self, ErrorKind};

/// Appends a byte string.
pub fn push(list: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a value is too long for an archive"))?;
    list.extend_from_slice(&length.to_le_bytes());
    list.extend_from_slice(bytes);
    Ok(())
}

/// Takes the list apart, two by two.
///
/// Errors: it ends in the middle.
pub fn each_two(mut list: &[u8], mut take: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
    while !list.is_empty() {
        let (first, second) = (next(&mut list)?, next(&mut list)?);
        take(first, second)?;
    }
    Ok(())
}

fn next<'a>(list: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let broken = || io::Error::new(ErrorKind::InvalidData, "a list ends in the middle");
    let (length, rest) = list.split_first_chunk::<4>().ok_or_else(broken)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| broken())?;
    let (bytes, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
    *list = rest;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_comes_back() {
        let mut list = Vec::new();
        for bytes in [&b"key"[..], b"", b"\0", b"value"] {
            push(&mut list, bytes).unwrap();
        }
        let mut seen = Vec::new();
        each_two(&list, |first, second| {
            seen.push((first.to_vec(), second.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(b"key".to_vec(), Vec::new()), (b"\0".to_vec(), b"value".to_vec())]);
        for end in 1..list.len() {
            let cut = each_two(&list[..end], |_, _| Ok(()));
            // A cut between two pairs cannot be told from the end here; the archive's own sum tells.
            assert!(cut.is_err() || end == 4 + 3 + 4, "{end}");
        }
    }
}

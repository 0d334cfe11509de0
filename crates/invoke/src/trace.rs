//! Tracing headers, the lineage in them, and names of log streams.
//!
//! `Lineage=3:0a1b2c3d:1|9f8e7d6c:0` says: the third invocation in a row, the first function was reached twice, the
//! second once. Functions stand for themselves by a hash of their ARN. The SDKs pass the header on from a function's
//! environment, so that loops show. (AWS documents the header, not the numbers in it; those are inferred from headers
//! that it wrote.)
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>

use crate::limits::LINEAGE_FUNCTIONS_MAX;
use gust_types::Ids;
use std::fmt::Write;

const LINEAGE: &str = "Lineage=";

/// What a header says of the invocations that led to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lineage {
    /// How many there were.
    count: u32,
    /// Each function's hash, and how often it was reached again.
    functions: Vec<(u32, u32)>,
}

impl Lineage {
    fn of(header: &str) -> Lineage {
        let part = header.split(';').find_map(|part| part.trim().strip_prefix(LINEAGE));
        part.and_then(Lineage::parse).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Lineage> {
        let (count, functions) = text.split_once(':')?;
        let function = |text: &str| {
            let (hash, again) = text.split_once(':')?;
            Some((u32::from_str_radix(hash, 16).ok()?, again.parse().ok()?))
        };
        let functions: Option<Vec<(u32, u32)>> =
            functions.split('|').take(LINEAGE_FUNCTIONS_MAX).map(function).collect();
        Some(Lineage { count: count.parse().ok()?, functions: functions? })
    }

    fn visits(&self, hash: u32) -> u32 {
        self.functions.iter().find(|(known, _)| *known == hash).map_or(0, |(_, again)| again.saturating_add(1))
    }

    fn reach(&mut self, hash: u32) {
        self.count = self.count.saturating_add(1);
        match self.functions.iter_mut().find(|(known, _)| *known == hash) {
            Some((_, again)) => *again = again.saturating_add(1),
            None => {
                if self.functions.len() >= LINEAGE_FUNCTIONS_MAX {
                    self.functions.remove(0);
                }
                self.functions.push((hash, 0));
            }
        }
    }

    fn write(&self, header: &mut String) {
        // Writing into memory cannot fail.
        let _ = write!(header, ";{LINEAGE}{}", self.count);
        for (at, (hash, again)) in self.functions.iter().enumerate() {
            let _ = write!(header, "{}{hash:08x}:{again}", if at == 0 { ':' } else { '|' });
        }
    }
}

/// FNV-1a.
fn hash_of(arn: &str) -> u32 {
    arn.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// How often the chain of invocations behind `header` has reached the function `arn`.
pub(crate) fn visits(header: Option<&str>, arn: &str) -> u32 {
    header.map_or(0, |header| Lineage::of(header).visits(hash_of(arn)))
}

/// The header that the function `arn` sees of a request that came with `header`, or with none: then Lambda begins a
/// trace. Nothing of that is sampled: X-Ray is not there yet.
pub(crate) fn at_function(header: Option<&str>, arn: &str, ids: &dyn Ids, now_ms: i64) -> String {
    let (mut seen, mut lineage) = match header {
        Some(header) => {
            let others = header.split(';').filter(|part| !part.trim().starts_with(LINEAGE));
            (others.collect::<Vec<_>>().join(";"), Lineage::of(header))
        }
        None => (new_trace(ids, now_ms), Lineage::default()),
    };
    lineage.reach(hash_of(arn));
    lineage.write(&mut seen);
    seen
}

fn new_trace(ids: &dyn Ids, now_ms: i64) -> String {
    let seconds = now_ms.div_euclid(1_000);
    let random = ids.hex(24 + 16);
    let (root, parent) = random.split_at(24);
    let mut header = format!("Root=1-{seconds:08x}-");
    header.reserve_exact(random.len() + 50);
    for part in [root, ";Parent=", parent, ";Sampled=0"] {
        header.push_str(part);
    }
    header
}

/// The log stream of a new environment: `2026/11/23/[$LATEST]<32 hexadecimal digits>`.
pub(crate) fn new_stream_name(ids: &dyn Ids, now_ms: i64, version: &str) -> String {
    let day = crate::logs::date(now_ms);
    format!("{day}/[{version}]{}", ids.hex(32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_types::SeededIds;

    const A: &str = "arn:aws:lambda:us-east-1:000000000000:function:a";
    const B: &str = "arn:aws:lambda:us-east-1:000000000000:function:b";

    #[test]
    fn headers_and_streams_have_lambdas_form() {
        let ids = SeededIds::new(1);
        let header = at_function(None, A, &ids, 1_700_000_000_123);
        assert!(header.starts_with("Root=1-6553f100-"), "{header}");
        let lengths: Vec<usize> = header.split(';').map(str::len).collect();
        assert_eq!(lengths, ["Root=1-12345678-".len() + 24, "Parent=".len() + 16, 9, "Lineage=1::0".len() + 8]);
        let stream = new_stream_name(&ids, 1_700_000_000_123, "$LATEST");
        assert!(stream.starts_with("2023/11/14/[$LATEST]") && stream.len() == 20 + 32, "{stream}");
    }

    #[test]
    fn a_chain_counts_how_often_it_reaches_a_function() {
        let ids = SeededIds::new(1);
        let mut header = None;
        for round in 0..3 {
            for arn in [A, B] {
                assert_eq!(visits(header.as_deref(), arn), round);
                header = Some(at_function(header.as_deref(), arn, &ids, 0));
            }
        }
        let expected = format!("Lineage=6:{:08x}:2|{:08x}:2", hash_of(A), hash_of(B));
        assert!(header.as_deref().unwrap().ends_with(&expected), "{header:?}");
    }

    #[test]
    fn what_came_from_outside_is_kept_and_what_is_no_lineage_counts_for_nothing() {
        let ids = SeededIds::new(1);
        let outside = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let seen = at_function(Some(outside), A, &ids, 0);
        assert_eq!(seen, format!("{outside};Lineage=1:{:08x}:0", hash_of(A)));
        for nonsense in
            ["Lineage=", "Lineage=x:y", "Lineage=1:zz:0", "Lineage=1:00000000:-1", "Lineage=99999999999:0:0"]
        {
            let header = format!("{outside};{nonsense}");
            assert_eq!(visits(Some(&header), A), 0, "{nonsense}");
            assert_eq!(at_function(Some(&header), A, &ids, 0), seen);
        }
    }

    #[test]
    fn a_lineage_is_bounded() {
        let ids = SeededIds::new(1);
        let mut header = None;
        for number in 0..3 * LINEAGE_FUNCTIONS_MAX {
            header = Some(at_function(header.as_deref(), &format!("f{number}"), &ids, 0));
        }
        assert_eq!(Lineage::of(header.as_deref().unwrap()).functions.len(), LINEAGE_FUNCTIONS_MAX);
    }
}

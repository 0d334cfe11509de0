//! Tracing headers and names of log streams.

use gust_types::Ids;

/// A new tracing header, as Lambda makes one for a request that brought none. Nothing is sampled: X-Ray
/// is not there yet.
pub(crate) fn new_trace_header(ids: &dyn Ids, now_ms: i64) -> String {
    let seconds = now_ms.div_euclid(1_000);
    let random = ids.hex(24 + 16 + 8);
    let (root, rest) = random.split_at(24);
    let (parent, lineage) = rest.split_at(16);
    let mut header = format!("Root=1-{seconds:08x}-");
    header.reserve_exact(random.len() + 32);
    for part in [root, ";Parent=", parent, ";Sampled=0;Lineage=1:", lineage, ":0"] {
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

    #[test]
    fn headers_and_streams_have_lambdas_form() {
        let ids = SeededIds::new(1);
        let header = new_trace_header(&ids, 1_700_000_000_123);
        assert!(header.starts_with("Root=1-6553f100-"), "{header}");
        let lengths: Vec<usize> = header.split(';').map(str::len).collect();
        assert_eq!(lengths, ["Root=1-12345678-".len() + 24, "Parent=".len() + 16, 9, "Lineage=1::0".len() + 8]);
        let stream = new_stream_name(&ids, 1_700_000_000_123, "$LATEST");
        assert!(stream.starts_with("2023/11/14/[$LATEST]") && stream.len() == 20 + 32, "{stream}");
    }
}

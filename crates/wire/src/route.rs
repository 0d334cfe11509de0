//! Which operation a request names.

use crate::message::WireRequest;
use crate::percent;
use crate::schema::{OperationModel, OperationRoute, Protocol, ServiceModel};
use gust_types::AwsError;
use std::collections::HashMap;
use std::sync::{OnceLock, RwLock};

/// What a request names.
#[derive(Debug, Clone, Copy)]
pub enum Routed {
    /// An operation that gust has.
    Operation(&'static OperationModel),
    /// An operation that AWS has and gust has not: answer with `AwsError::not_implemented`.
    Unimplemented(&'static str),
}

/// Finds the operation of a request, or says in AWS's words that there is none.
pub fn route(model: &'static ServiceModel, protocol: Protocol, request: &WireRequest<'_>) -> Result<Routed, AwsError> {
    match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => by_target(model, request),
        Protocol::RestJson | Protocol::RestXml => by_path(model, request),
        Protocol::Query => by_action(model, request),
    }
}

fn by_name(model: &'static ServiceModel, name: &str) -> Option<Routed> {
    let lacking =
        || model.unimplemented.iter().find(|route| route.name == name).map(|route| Routed::Unimplemented(route.name));
    model.operation(name).map(Routed::Operation).or_else(lacking)
}

fn by_target(model: &'static ServiceModel, request: &WireRequest<'_>) -> Result<Routed, AwsError> {
    let target = request.header("x-amz-target").and_then(|target| target.rsplit_once('.'));
    let named =
        target.filter(|(prefix, _)| Some(*prefix) == model.target_prefix).and_then(|(_, name)| by_name(model, name));
    named.ok_or_else(|| AwsError::sender("UnknownOperationException", 400, ""))
}

fn by_action(model: &'static ServiceModel, request: &WireRequest<'_>) -> Result<Routed, AwsError> {
    let body = std::str::from_utf8(&request.body).unwrap_or_default();
    let find = |wanted: &str| {
        let pairs = percent::pairs(request.query).chain(percent::pairs(body));
        pairs.flatten().find(|(key, _)| key == wanted).map(|(_, value)| value)
    };
    let Some(action) = find("Action") else {
        return Err(AwsError::sender(
            "MissingAction",
            400,
            "The request is missing an action or a required parameter.",
        ));
    };
    let version = find("Version").unwrap_or(model.api_version.into());
    let named = by_name(model, &action).filter(|_| version == model.api_version);
    named.ok_or_else(|| {
        AwsError::sender("InvalidAction", 400, format!("Could not find operation {action} for version {version}"))
    })
}

fn by_path(model: &'static ServiceModel, request: &WireRequest<'_>) -> Result<Routed, AwsError> {
    let (path, slashes) = (without_slash(request.path), slashes(request.path));
    let fits = |candidate: &&Candidate| {
        (candidate.slashes == slashes || candidate.is_greedy)
            && candidate.method == request.method
            && path.starts_with(candidate.fixed)
            && path.ends_with(candidate.tail)
    };
    let ranked = candidates(model)
        .iter()
        .filter(fits)
        .filter_map(|candidate| Some((rank(candidate.uri, request)?, candidate.routed)));
    // The first of equals wins, and implemented operations come first.
    let best = ranked.reduce(|best, other| if other.0 > best.0 { other } else { best });
    best.map(|(_, routed)| routed).ok_or_else(|| {
        // What AWS's REST front ends answer to a path that no operation has.
        AwsError::sender("AccessDeniedException", 403, "Unable to determine service/operation name to be authorized")
    })
}

/// A route with what rules most of them out at a glance.
struct Candidate {
    method: &'static str,
    uri: &'static str,
    routed: Routed,
    /// The template before its first label.
    fixed: &'static str,
    /// The template after its last label.
    tail: &'static str,
    /// Its slashes, one at the end aside.
    slashes: usize,
    /// Whether a label takes more than one segment.
    is_greedy: bool,
}

/// The candidates of a model, made once; implemented operations come first.
fn candidates(model: &'static ServiceModel) -> &'static [Candidate] {
    // One entry for each service linked into the binary.
    static MADE: OnceLock<RwLock<HashMap<usize, &'static [Candidate]>>> = OnceLock::new();
    let made = MADE.get_or_init(RwLock::default);
    let key = std::ptr::from_ref(model).addr();
    let known = made.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&key).copied();
    known.unwrap_or_else(|| {
        let mut made = made.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        made.entry(key).or_insert_with(|| {
            let implemented = model.operations.iter().map(|operation| (&operation.route, Routed::Operation(operation)));
            let lacking = model.unimplemented.iter().map(|route| (route, Routed::Unimplemented(route.name)));
            let all: Vec<Candidate> =
                implemented.chain(lacking).map(|(route, routed)| candidate(route, routed)).collect();
            all.leak()
        })
    })
}

fn candidate(route: &'static OperationRoute, routed: Routed) -> Candidate {
    let template = route.uri.split('?').next().unwrap_or_default();
    let fixed = template.split('{').next().unwrap_or_default();
    let fixed = if fixed == template { without_slash(fixed) } else { fixed };
    let tail = without_slash(template.rsplit('}').next().unwrap_or_default());
    let is_greedy = template.contains("+}");
    Candidate { method: route.method, uri: route.uri, routed, fixed, tail, slashes: slashes(template), is_greedy }
}

fn slashes(path: &str) -> usize {
    without_slash(path).bytes().filter(|byte| *byte == b'/').count()
}

/// How well a route fits: a digit of base 4 for each segment, a static one above a label above a
/// greedy label, so that the leftmost difference decides; then the keys that its query demands.
fn rank(uri: &str, request: &WireRequest<'_>) -> Option<(u64, usize)> {
    let (template, query) = uri.split_once('?').unwrap_or((uri, ""));
    let mut segments = without_slash(request.path).split('/').peekable();
    let mut rank = 0u64;
    let mut shift = 62;
    for part in without_slash(template).split('/') {
        let segment = segments.next()?;
        let weight = match label(part) {
            None if part == segment => 3,
            None => return None,
            Some((_, _)) if segment.is_empty() => return None,
            Some((_, false)) => 2,
            Some((_, true)) => {
                while segments.peek().is_some() {
                    segments.next();
                }
                1
            }
        };
        rank |= weight << shift;
        shift = u32::saturating_sub(shift, 2);
    }
    let demanded = query.split('&').filter(|pair| !pair.is_empty());
    let met = demanded.clone().all(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        percent::pairs(request.query).flatten().any(|(found, text)| found == key && (value.is_empty() || text == value))
    });
    (segments.next().is_none() && met).then(|| (rank, demanded.count()))
}

/// AWS takes a trailing slash and its absence for the same path: models differ from each other in it.
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Name and greed of a `{Label}` or `{Label+}`.
fn label(part: &str) -> Option<(&str, bool)> {
    let name = part.strip_prefix('{')?.strip_suffix('}')?;
    Some(name.strip_suffix('+').map_or((name, false), |name| (name, true)))
}

/// The labels of a path with their raw values; nothing if the path does not fit the template.
pub fn labels<'a>(template: &'static str, path: &'a str) -> Vec<(&'static str, &'a str)> {
    let template = template.split('?').next().unwrap_or_default();
    let mut rest = without_slash(path);
    let mut found = Vec::new();
    let mut parts = without_slash(template).split('/').peekable();
    while let Some(part) = parts.next() {
        let label = label(part);
        let takes_all = parts.peek().is_none() && label.is_some_and(|(_, is_greedy)| is_greedy);
        let (segment, tail) = if takes_all { (rest, "") } else { rest.split_once('/').unwrap_or((rest, "")) };
        found.extend(label.map(|(name, _)| (name, segment)));
        rest = tail;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use bytes::Bytes;

    fn check(protocol: Protocol, method: &str, target: &str, expected: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = http::HeaderMap::new();
        let request = WireRequest { method, path, query, headers: &headers, body: Bytes::new() };
        let found = match route(&fixture::MODEL, protocol, &request) {
            Ok(Routed::Operation(operation)) => operation.route.name.to_owned(),
            Ok(Routed::Unimplemented(name)) => format!("unimplemented {name}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{method} {target}");
    }

    #[test]
    fn paths() {
        let none = "AccessDeniedException: Unable to determine service/operation name to be authorized";
        for (method, target, expected) in [
            ("GET", "/2020-01-01/things/", "ListThings"),
            ("GET", "/2020-01-01/things", "ListThings"),
            ("GET", "/2020-01-01/things?x-id=ListThings", "ListThings"),
            ("POST", "/2020-01-01/things", "PutThing"),
            ("POST", "/2020-01-01/things/arn%3Aaws%3Athing/invoke", "Send"),
            ("POST", "/2020-01-01/things/arn:aws:thing/invoke", "Send"),
            ("POST", "/2020-01-01/things//invoke", none),
            ("POST", "/2020-01-01/things/a/b/invoke", none),
            ("POST", "/2020-01-01/things/a/other", "unimplemented DoAnything"),
            ("GET", "/2020-01-01/things/special", "unimplemented GetSpecial"),
            ("GET", "/2020-01-01/things/other", "unimplemented GetThing"),
            ("GET", "/2020-01-01/files/a/b/c", "unimplemented GetFile"),
            ("GET", "/2020-01-01/thingsandmore", none),
            ("PATCH", "/2020-01-01/things", none),
            ("GET", "/", none),
            ("GET", "", none),
        ] {
            check(Protocol::RestJson, method, target, expected);
        }
    }

    #[test]
    fn actions() {
        for (target, expected) in [
            ("/?Action=ListThings", "ListThings"),
            ("/?Action=ListThings&Version=2020-01-01", "ListThings"),
            ("/?Action=GetThing", "unimplemented GetThing"),
            ("/?Action=ListThings&Version=2011", "InvalidAction: Could not find operation ListThings for version 2011"),
            ("/?Action=Nope", "InvalidAction: Could not find operation Nope for version 2020-01-01"),
            ("/", "MissingAction: The request is missing an action or a required parameter."),
        ] {
            check(Protocol::Query, "GET", target, expected);
        }
    }

    #[test]
    fn targets() {
        for (target, expected) in [
            (Some("Fixture_2020.ListThings"), Some("ListThings")),
            (Some("Fixture_2020.Nope"), None),
            (Some("Other.ListThings"), None),
            (Some("ListThings"), None),
            (None, None),
        ] {
            let mut headers = http::HeaderMap::new();
            if let Some(target) = target {
                headers.insert("x-amz-target", target.parse().unwrap());
            }
            let request = WireRequest { method: "POST", path: "/", query: "", headers: &headers, body: Bytes::new() };
            let found = route(&fixture::MODEL, Protocol::AwsJson11, &request);
            match (found, expected) {
                (Ok(Routed::Operation(operation)), Some(name)) => assert_eq!(operation.route.name, name),
                (Err(error), None) => assert_eq!(error.code, "UnknownOperationException"),
                (found, _) => panic!("{target:?}: {found:?}"),
            }
        }
    }
}

//! What a request is: the first stage, a pure function, so that every later error speaks the caller's protocol.

use crate::access::without_port;
use gust_auth::Head;
use gust_wire::{Protocol, ServiceModel};
use http::header::CONTENT_TYPE;

/// All that a request to gust can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// An operation of a service that gust has.
    Aws(Address),
    /// An operation of a service that gust has not.
    Missing {
        /// The service as the request names it.
        service: &'a str,
        /// The protocol the caller seems to speak.
        protocol: Protocol,
    },
    /// A function URL: everything under its host name, or below `/_gust/url/{id}/`.
    FunctionUrl(UrlAddress<'a>),
    /// `GET /_gust/health`
    Health,
    /// `POST /_gust/reset`
    Reset,
    /// `POST /_gust/clock`
    Clock,
    /// `GET /_gust/stats`: what was counted of the caller's functions.
    Stats,
    /// `GET /_gust/code/...`: a function's package, by a link that gust gave out.
    CodeDownload,
    /// Nothing that gust knows.
    Unknown,
}

/// How a request names a function URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlAddress<'a> {
    /// The URL's id, as it was written.
    pub id: &'a str,
    /// The region in the host name; `None` if the path names the URL.
    pub region: Option<&'a str>,
    /// The path below the URL.
    pub path: &'a str,
}

/// A service and the protocol in which it is addressed.
#[derive(Debug, Clone, Copy)]
pub struct Address {
    /// Its interface.
    pub service: &'static ServiceModel,
    /// The caller's protocol.
    pub protocol: Protocol,
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.service.id == other.service.id && self.protocol == other.protocol
    }
}

impl Eq for Address {}

/// Says what a request is. `scope` is the service that it is signed for, `form` its body where it is an
/// unsigned form (only its `Action` and `Version` are looked at).
pub fn classify<'a>(
    services: &[&'static ServiceModel],
    head: &Head<'a>,
    scope: Option<&'a str>,
    form: Option<&str>,
) -> Route<'a> {
    if let Some(address) = url_by_host(head) {
        return Route::FunctionUrl(address);
    }
    if head.path.starts_with("/_")
        && let Some(route) = own_route(head)
    {
        return route;
    }
    let spoken = Spoken::of(head, form);
    if let Some(target) = spoken.target {
        return by_target(services, target, scope, &spoken);
    }
    if let Some(scope) = scope {
        return by_scope(services, scope, head, &spoken);
    }
    by_shape(services, head, &spoken)
}

/// `{id}.lambda-url.{region}.` and any domain: nothing under such a name is an operation.
fn url_by_host<'a>(head: &Head<'a>) -> Option<UrlAddress<'a>> {
    let (id, rest) = without_port(head.host).split_once('.')?;
    let (label, rest) = rest.split_once('.')?;
    let (region, domain) = rest.split_once('.')?;
    let is_url = label.eq_ignore_ascii_case("lambda-url") && !id.is_empty() && !domain.is_empty();
    is_url.then_some(UrlAddress { id, region: Some(region), path: head.path })
}

/// `/_gust/url/{id}` and everything below.
fn url_by_path(path: &str) -> Option<UrlAddress<'_>> {
    let rest = path.strip_prefix("/_gust/url/")?;
    let (id, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    (!id.is_empty()).then_some(UrlAddress { id, region: None, path })
}

fn own_route<'a>(head: &Head<'a>) -> Option<Route<'a>> {
    if let Some(address) = url_by_path(head.path) {
        return Some(Route::FunctionUrl(address));
    }
    match (head.method, head.path) {
        ("GET" | "HEAD", "/_gust/health" | "/_localstack/health") => Some(Route::Health),
        ("POST", "/_gust/reset") => Some(Route::Reset),
        ("POST", "/_gust/clock") => Some(Route::Clock),
        ("GET", "/_gust/stats") => Some(Route::Stats),
        ("GET", path) if path.starts_with("/_gust/code/") => Some(Route::CodeDownload),
        (_, path) if path.starts_with("/_gust/") || path.starts_with("/_localstack/") => Some(Route::Unknown),
        _ => None,
    }
}

/// What the headers and the query say about the protocol.
struct Spoken<'a> {
    target: Option<&'a str>,
    content_type: &'a str,
    /// The API version of a request that names its `Action`.
    version: Option<String>,
    has_action: bool,
}

impl<'a> Spoken<'a> {
    fn of(head: &Head<'a>, form: Option<&str>) -> Spoken<'a> {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let content_type = text(CONTENT_TYPE.as_str()).unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        let source = if head.query.contains("Action=") { Some(head.query) } else { form };
        let value = |name: &str| {
            let pairs = source?.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        };
        Spoken {
            target: text("x-amz-target"),
            content_type,
            version: value("Version"),
            has_action: value("Action").is_some(),
        }
    }

    fn is_form(&self) -> bool {
        self.content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    fn json_protocol(&self) -> Option<Protocol> {
        match self.content_type {
            "application/x-amz-json-1.0" => Some(Protocol::AwsJson10),
            "application/x-amz-json-1.1" => Some(Protocol::AwsJson11),
            _ => None,
        }
    }
}

fn by_target<'a>(
    services: &[&'static ServiceModel],
    target: &'a str,
    scope: Option<&'a str>,
    spoken: &Spoken<'_>,
) -> Route<'a> {
    let prefix = target.rsplit_once('.').map_or(target, |(prefix, _)| prefix);
    let spoken_protocol = spoken.json_protocol();
    let Some(service) = services.iter().copied().find(|service| service.target_prefix == Some(prefix)) else {
        let protocol = spoken_protocol.unwrap_or(Protocol::AwsJson11);
        return Route::Missing { service: scope.unwrap_or(prefix), protocol };
    };
    let json = |protocol: &Protocol| matches!(protocol, Protocol::AwsJson10 | Protocol::AwsJson11);
    let spoken_protocol = spoken_protocol.filter(|protocol| service.protocols.contains(protocol));
    let own = service.protocols.iter().copied().find(json).unwrap_or(Protocol::AwsJson11);
    Route::Aws(Address { service, protocol: spoken_protocol.unwrap_or(own) })
}

fn by_scope<'a>(services: &[&'static ServiceModel], scope: &'a str, head: &Head<'_>, spoken: &Spoken<'_>) -> Route<'a> {
    let mut candidates = services.iter().copied().filter(|service| service.signing_name == scope);
    let Some(first) = candidates.next() else {
        return Route::Missing { service: scope, protocol: guessed_protocol(scope, spoken) };
    };
    // Some signing names stand for two interfaces (apigateway): the one with such a path is meant.
    let service = match candidates.next() {
        Some(second) if !has_path(first, head.path) => {
            std::iter::once(second).chain(candidates).find(|service| has_path(service, head.path)).unwrap_or(first)
        }
        _ => first,
    };
    Route::Aws(Address { service, protocol: own_protocol(service, spoken) })
}

fn own_protocol(service: &ServiceModel, spoken: &Spoken<'_>) -> Protocol {
    let query = service.protocols.contains(&Protocol::Query) && (spoken.has_action || spoken.is_form());
    let json = spoken.json_protocol().filter(|protocol| service.protocols.contains(protocol));
    match (query, json) {
        (true, _) => Protocol::Query,
        (false, Some(json)) => json,
        (false, None) => service.protocols.first().copied().unwrap_or(Protocol::RestJson),
    }
}

fn guessed_protocol(scope: &str, spoken: &Spoken<'_>) -> Protocol {
    match spoken.json_protocol() {
        Some(json) => json,
        None if spoken.has_action || spoken.is_form() => Protocol::Query,
        None if matches!(scope, "s3" | "route53" | "cloudfront") => Protocol::RestXml,
        None => Protocol::RestJson,
    }
}

/// An unsigned request: by its API version, its host's first label, or its path.
fn by_shape<'a>(services: &[&'static ServiceModel], head: &Head<'_>, spoken: &Spoken<'_>) -> Route<'a> {
    let label = head.host.split(['.', ':']).next().unwrap_or_default();
    let by_version = |service: &&&ServiceModel| {
        spoken.has_action
            && service.protocols.contains(&Protocol::Query)
            && spoken.version.as_deref() == Some(service.api_version)
    };
    let by_host = |service: &&&ServiceModel| service.endpoint_prefix == label;
    let by_path = |service: &&&ServiceModel| is_rest(service) && has_path(service, head.path);
    let found = services.iter().find(by_version).or_else(|| services.iter().find(by_host));
    match found.or_else(|| services.iter().find(by_path)).copied() {
        Some(service) => Route::Aws(Address { service, protocol: own_protocol(service, spoken) }),
        None => Route::Unknown,
    }
}

fn is_rest(service: &ServiceModel) -> bool {
    service.protocols.iter().any(|protocol| matches!(protocol, Protocol::RestJson | Protocol::RestXml))
}

/// Whether one of the service's operations has such a path, whatever its method.
fn has_path(service: &ServiceModel, path: &str) -> bool {
    let implemented = service.operations.iter().map(|operation| operation.route.uri);
    implemented.chain(service.unimplemented.iter().map(|route| route.uri)).any(|template| fits(template, path))
}

fn fits(template: &str, path: &str) -> bool {
    let template = template.split('?').next().unwrap_or_default();
    let (mut templates, mut segments) = (without_slash(template).split('/'), without_slash(path).split('/'));
    loop {
        match (templates.next(), segments.next()) {
            (None, None) => return true,
            (Some(label), Some(segment)) if label.starts_with('{') => {
                if label.ends_with("+}") {
                    return !segment.is_empty();
                }
                if segment.is_empty() {
                    return false;
                }
            }
            (Some(literal), Some(segment)) if literal == segment => {}
            _ => return false,
        }
    }
}

/// AWS takes a trailing slash and its absence for the same path.
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_wire::schema::OperationRoute;
    use http::{HeaderMap, HeaderName};

    const BASE: ServiceModel = ServiceModel {
        id: "",
        signing_name: "",
        endpoint_prefix: "",
        target_prefix: None,
        protocols: &[],
        api_version: "",
        validation_code: "ValidationException",
        xml_namespace: None,
        operations: &[],
        unimplemented: &[],
    };
    static LAMBDA: ServiceModel = ServiceModel {
        id: "lambda",
        signing_name: "lambda",
        endpoint_prefix: "lambda",
        protocols: &[Protocol::RestJson],
        api_version: "2015-03-31",
        unimplemented: &[OperationRoute {
            name: "Invoke",
            method: "POST",
            uri: "/2015-03-31/functions/{FunctionName}/invocations",
        }],
        ..BASE
    };
    static LOGS: ServiceModel = ServiceModel {
        id: "logs",
        signing_name: "logs",
        endpoint_prefix: "logs",
        target_prefix: Some("Logs_20140328"),
        protocols: &[Protocol::AwsJson11],
        api_version: "2014-03-28",
        ..BASE
    };
    static IAM: ServiceModel = ServiceModel {
        id: "iam",
        signing_name: "iam",
        endpoint_prefix: "iam",
        protocols: &[Protocol::Query],
        api_version: "2010-05-08",
        ..BASE
    };
    static SERVICES: [&ServiceModel; 3] = [&IAM, &LAMBDA, &LOGS];

    struct Case {
        method: &'static str,
        path: &'static str,
        query: &'static str,
        host: &'static str,
        headers: &'static [(&'static str, &'static str)],
        scope: Option<&'static str>,
        form: Option<&'static str>,
    }

    const PLAIN: Case =
        Case { method: "POST", path: "/", query: "", host: "127.0.0.1:4566", headers: &[], scope: None, form: None };
    const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")];

    fn route(case: &Case) -> Route<'static> {
        let mut headers = HeaderMap::new();
        for (name, value) in case.headers {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let headers: &'static HeaderMap = Box::leak(Box::new(headers));
        let head = Head { method: case.method, path: case.path, query: case.query, headers, host: case.host };
        classify(&SERVICES, &head, case.scope, case.form)
    }

    fn aws(service: &'static ServiceModel, protocol: Protocol) -> Route<'static> {
        Route::Aws(Address { service, protocol })
    }

    #[test]
    fn own_routes_come_first() {
        for (method, path, expected) in [
            ("GET", "/_gust/health", Route::Health),
            ("GET", "/_localstack/health", Route::Health),
            ("POST", "/_gust/reset", Route::Reset),
            ("GET", "/_gust/reset", Route::Unknown),
            ("GET", "/_gust/stats", Route::Stats),
            ("POST", "/_gust/stats", Route::Unknown),
            ("GET", "/_gust/code/abc", Route::CodeDownload),
            ("POST", "/_gust/clock", Route::Clock),
            ("GET", "/_gust/clock", Route::Unknown),
            ("GET", "/_other", Route::Unknown),
        ] {
            assert_eq!(route(&Case { method, path, ..PLAIN }), expected, "{method} {path}");
        }
        assert_eq!(route(&Case { path: "/_gust/other", scope: Some("iam"), ..PLAIN }), Route::Unknown);
    }

    #[test]
    fn the_target_names_the_service_and_the_content_type_the_protocol() {
        let case = Case { headers: &[("x-amz-target", "Logs_20140328.CreateLogGroup")], ..PLAIN };
        assert_eq!(route(&case), aws(&LOGS, Protocol::AwsJson11));
        let headers: &[(&str, &str)] =
            &[("x-amz-target", "DynamoDB_20120810.PutItem"), ("content-type", "application/x-amz-json-1.0")];
        let missing = |service| Route::Missing { service, protocol: Protocol::AwsJson10 };
        assert_eq!(route(&Case { headers, ..PLAIN }), missing("DynamoDB_20120810"));
        assert_eq!(route(&Case { headers, scope: Some("dynamodb"), ..PLAIN }), missing("dynamodb"));
    }

    #[test]
    fn the_scope_names_the_service() {
        let lambda = Case { method: "GET", path: "/2015-03-31/functions", scope: Some("lambda"), ..PLAIN };
        assert_eq!(route(&lambda), aws(&LAMBDA, Protocol::RestJson));
        assert_eq!(route(&Case { scope: Some("iam"), headers: FORM, ..PLAIN }), aws(&IAM, Protocol::Query));
        assert_eq!(route(&Case { method: "GET", scope: Some("iam"), ..PLAIN }), aws(&IAM, Protocol::Query));
    }

    #[test]
    fn a_service_that_is_missing_is_named_in_the_callers_protocol() {
        for (scope, headers, protocol) in [
            ("sqs", FORM, Protocol::Query),
            ("s3", &[], Protocol::RestXml),
            ("xray", &[], Protocol::RestJson),
            ("sqs", &[("content-type", "application/x-amz-json-1.0")], Protocol::AwsJson10),
        ] {
            let expected = Route::Missing { service: scope, protocol };
            assert_eq!(route(&Case { scope: Some(scope), headers, ..PLAIN }), expected, "{scope}");
        }
    }

    #[test]
    fn unsigned_requests_are_known_by_version_host_or_path() {
        let form = Some("Action=ListRoles&Version=2010-05-08");
        assert_eq!(route(&Case { headers: FORM, form, ..PLAIN }), aws(&IAM, Protocol::Query));
        let query = "Action=ListRoles&Version=2010-05-08";
        assert_eq!(route(&Case { method: "GET", query, ..PLAIN }), aws(&IAM, Protocol::Query));
        let other = Some("Action=ListRoles&Version=1999-01-01");
        assert_eq!(route(&Case { headers: FORM, form: other, ..PLAIN }), Route::Unknown);
        let host = "iam.localhost.localstack.cloud:4566";
        assert_eq!(route(&Case { method: "GET", host, ..PLAIN }), aws(&IAM, Protocol::Query));
        let path = "/2015-03-31/functions/a/invocations";
        assert_eq!(route(&Case { path, ..PLAIN }), aws(&LAMBDA, Protocol::RestJson));
        assert_eq!(route(&Case { method: "GET", path: "/", ..PLAIN }), Route::Unknown);
    }

    #[test]
    fn templates_fit_whole_paths() {
        for (template, path, expected) in [
            ("/a/{B}/c", "/a/b/c", true),
            ("/a/{B}/c", "/a//c", false),
            ("/a/{B}/c", "/a/b", false),
            ("/a/{B}/c", "/a/b/c/d", false),
            ("/{Key+}", "/a/b/c", true),
            ("/a?x=y", "/a", true),
            ("/a/", "/a/", true),
            ("/a/", "/a", true),
        ] {
            assert_eq!(fits(template, path), expected, "{template} {path}");
        }
    }
}

//! Whether the caller may do it: the last stage before an operation runs (`--auth strict`).
//!
//! The service says what its operation needs, the policies decide. A request is decoded and validated first, as at AWS,
//! so that a malformed one is called malformed also to somebody who may not send it.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>

use async_trait::async_trait;
use gust_kit::ports::{AccessRequest, Authorizer, Decision, Resource};
use gust_kit::{Call, Endpoint, Need, PolicyUse, Principal, PrincipalKind, ResourceFacts};
use gust_types::{AccountId, AwsError, Doc};
use gust_wire::{OperationModel, Protocol};
use http::HeaderMap;
use http::header::{REFERER, USER_AGENT};
use std::net::IpAddr;

/// How much of a header policies compare, in characters: a pattern takes time for each of them.
const HEADER_CHARS_MAX: usize = 2_048;

/// What of the connection and the head policies may ask for.
pub(crate) struct Circumstances<'a> {
    /// Who is at the other end.
    pub peer: Option<IpAddr>,
    pub headers: &'a HeaderMap,
}

/// Checks everything that `operation` needs. On success the call may reach the account whose resource was granted.
pub(crate) async fn authorize(
    authorizer: &dyn Authorizer,
    endpoint: &dyn Endpoint,
    protocol: Protocol,
    operation: &'static OperationModel,
    call: &mut Call,
    input: &Doc,
    circumstances: &Circumstances<'_>,
) -> Result<(), AwsError> {
    if call.principal.kind == PrincipalKind::Internal {
        return Ok(());
    }
    let mut granted = None;
    for need in endpoint.needs(operation, input, call).await? {
        let owner = owner(&need.resource).filter(|owner| owner != call.account());
        let policy_use = need.policy_use;
        let request = request(call, need, circumstances);
        let resource = ResourceOf { endpoint, policy_use, resource: &request.resource };
        let decision = authorizer.decide_about(&request, &resource).await?;
        if let Some(error) = refusal(protocol, &call.principal, &request, decision) {
            return Err(error);
        }
        granted = granted.or(owner);
    }
    call.granted_account = granted;
    Ok(())
}

/// Whether `principal` may list the functions of its account.
pub(crate) async fn may_list(authorizer: &dyn Authorizer, principal: &Principal) -> Result<(), AwsError> {
    let request = AccessRequest {
        principal: Some(principal.clone()),
        action: "lambda:ListFunctions".to_owned(),
        resource: "*".to_owned(),
        context: Vec::new(),
        resource_policy: None,
    };
    let decision = authorizer.decide(&request).await?;
    refusal(Protocol::RestJson, principal, &request, decision).map_or(Ok(()), Err)
}

struct ResourceOf<'a> {
    endpoint: &'a dyn Endpoint,
    policy_use: PolicyUse,
    resource: &'a str,
}

#[async_trait]
impl Resource for ResourceOf<'_> {
    fn policy_use(&self) -> PolicyUse {
        self.policy_use
    }

    async fn facts(&self) -> Result<ResourceFacts, AwsError> {
        self.endpoint.facts(self.resource).await
    }
}

/// The account in a resource's ARN; `None` for `*` and where there is none.
fn owner(resource: &str) -> Option<AccountId> {
    let mut parts = resource.splitn(6, ':');
    let (scheme, account, _name) = (parts.next()?, parts.nth(3)?, parts.next()?);
    if scheme == "arn" { AccountId::parse(account) } else { None }
}

fn request(call: &Call, need: Need, circumstances: &Circumstances<'_>) -> AccessRequest {
    let Need { action, resource, mut context, .. } = need;
    let mut add = |key: &str, value: String| context.push((key.to_owned(), vec![value]));
    add("aws:RequestedRegion", call.region.as_str().to_owned());
    // gust itself speaks plain HTTP; a proxy before it that speaks TLS is none of its business.
    add("aws:SecureTransport", "false".to_owned());
    if let Some(peer) = circumstances.peer {
        add("aws:SourceIp", peer.to_canonical().to_string());
    }
    for (key, header) in [("aws:UserAgent", USER_AGENT), ("aws:Referer", REFERER)] {
        if let Some(value) = circumstances.headers.get(header).and_then(|value| value.to_str().ok()) {
            add(key, value.chars().take(HEADER_CHARS_MAX).collect());
        }
    }
    AccessRequest { principal: Some(call.principal.clone()), action, resource, context, resource_policy: None }
}

fn refusal(protocol: Protocol, principal: &Principal, request: &AccessRequest, decision: Decision) -> Option<AwsError> {
    let why = match decision {
        Decision::Allowed => return None,
        Decision::NotAllowed(reason) if reason.is_empty() => reason,
        Decision::NotAllowed(reason) => format!(" because {reason}"),
        Decision::Denied(reason) => format!(" with {reason}"),
    };
    let AccessRequest { action, resource, .. } = request;
    let user = &principal.arn;
    let message = format!("User: {user} is not authorized to perform: {action} on resource: {resource}{why}");
    Some(denied(protocol, message))
}

/// How each protocol spells it.
fn denied(protocol: Protocol, message: String) -> AwsError {
    match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => AwsError::sender("AccessDeniedException", 400, message),
        Protocol::RestJson => AwsError::sender("AccessDeniedException", 403, message),
        Protocol::Query | Protocol::RestXml => AwsError::sender("AccessDenied", 403, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_types::{Region, RequestId};
    use std::net::Ipv4Addr;

    fn call() -> Call {
        Call {
            principal: Principal::root(AccountId::parse("000000000000").unwrap(), None),
            region: Region::parse("eu-west-1").unwrap(),
            granted_account: None,
            request_id: RequestId::from_text("id"),
            received_at_ms: 0,
            trace_header: None,
            origin: "http://127.0.0.1:4566".to_owned(),
        }
    }

    #[test]
    fn refusals_are_worded_as_aws_words_them() {
        let headers = HeaderMap::new();
        let circumstances = Circumstances { peer: None, headers: &headers };
        let request = request(&call(), Need::new("logs:PutLogEvents", "*"), &circumstances);
        let refused = |decision| refusal(Protocol::AwsJson11, &call().principal, &request, decision);
        assert_eq!(refused(Decision::Allowed), None);
        let head =
            "User: arn:aws:iam::000000000000:root is not authorized to perform: logs:PutLogEvents on resource: *";
        let error = refused(Decision::NotAllowed("no session policy allows it".to_owned())).unwrap();
        assert_eq!(error.message, format!("{head} because no session policy allows it"));
        assert_eq!((error.code.as_ref(), error.status), ("AccessDeniedException", 400));
        let error = refused(Decision::Denied("an explicit deny in a session policy".to_owned())).unwrap();
        assert_eq!(error.message, format!("{head} with an explicit deny in a session policy"));
        assert_eq!(refused(Decision::NotAllowed(String::new())).unwrap().message, head);
    }

    #[test]
    fn each_protocol_has_its_own_code() {
        for (protocol, code, status) in [
            (Protocol::AwsJson10, "AccessDeniedException", 400),
            (Protocol::RestJson, "AccessDeniedException", 403),
            (Protocol::Query, "AccessDenied", 403),
        ] {
            let error = denied(protocol, String::new());
            assert_eq!((error.code.as_ref(), error.status), (code, status));
        }
    }

    #[test]
    fn what_a_request_shows_of_itself_can_be_asked_for() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, "tool/1".parse().unwrap());
        let peer = Some(IpAddr::V6(Ipv4Addr::new(10, 0, 0, 7).to_ipv6_mapped()));
        let request = request(&call(), Need::new("a:B", "*"), &Circumstances { peer, headers: &headers });
        let value = |name: &str| {
            let found = request.context.iter().find(|(key, _)| key == name);
            found.map(|(_, values)| values.join(","))
        };
        assert_eq!(value("aws:SourceIp").as_deref(), Some("10.0.0.7"));
        assert_eq!(value("aws:UserAgent").as_deref(), Some("tool/1"));
        assert_eq!(value("aws:RequestedRegion").as_deref(), Some("eu-west-1"));
        assert_eq!(value("aws:SecureTransport").as_deref(), Some("false"));
        assert_eq!(value("aws:Referer"), None);
    }

    #[test]
    fn owners_are_read_from_arns() {
        assert_eq!(owner("arn:aws:lambda:us-east-1:111111111111:function:a").unwrap().as_str(), "111111111111");
        for resource in ["*", "", "arn:aws:s3:::bucket", "arn:aws:iam::aws:policy/a"] {
            assert_eq!(owner(resource), None, "{resource}");
        }
    }
}

//! What the caller of each operation must be allowed. Assuming a role needs its trust policy, too.
//!
//! Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html>
//! Deviation: the account's root may assume roles that trust its account.

use gust_kit::{Call, Need, PolicyUse, request_tags};
use gust_types::{Arn, Doc};

/// Everything that `operation` with `input` needs.
pub fn needs(operation: &str, input: &Doc, call: &Call) -> Vec<Need> {
    match operation {
        // Whoever has a key may ask who it is, and may make a session of its own.
        "GetCallerIdentity" | "GetSessionToken" => Vec::new(),
        "AssumeRole" => assume_role(input),
        "GetFederationToken" => {
            let name = text(input, "Name").unwrap_or_default();
            let user = Arn::global("sts", call.account(), format!("federated-user/{name}"));
            let need = Need::new("sts:GetFederationToken", user.to_string());
            vec![need.with_request_tags(request_tags(input, "Tags"))]
        }
        other => vec![Need::new(format!("sts:{other}"), "*")],
    }
}

fn text<'a>(input: &'a Doc, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Doc::as_str)
}

fn assume_role(input: &Doc) -> Vec<Need> {
    let role = text(input, "RoleArn").unwrap_or_default();
    let tags = request_tags(input, "Tags");
    let need = |action: &str| {
        let mut need = Need::new(action, role).with_policy(PolicyUse::MustAllow);
        for (member, key) in [
            ("ExternalId", "sts:ExternalId"),
            ("RoleSessionName", "sts:RoleSessionName"),
            ("SourceIdentity", "sts:SourceIdentity"),
        ] {
            if let Some(value) = text(input, member) {
                need = need.with(key, vec![value.to_owned()]);
            }
        }
        if let Some(Doc::List(keys)) = input.get("TransitiveTagKeys") {
            need = need.with("sts:TransitiveTagKeys", keys.iter().filter_map(Doc::as_str).map(str::to_owned).collect());
        }
        need.with_request_tags(tags.iter().copied())
    };
    let mut needs = vec![need("sts:AssumeRole")];
    if !tags.is_empty() {
        needs.push(need("sts:TagSession"));
    }
    if text(input, "SourceIdentity").is_some() {
        needs.push(need("sts:SetSourceIdentity"));
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_kit::Principal;
    use gust_types::{AccountId, Region, RequestId};

    const ROLE: &str = "arn:aws:iam::000000000000:role/worker";

    fn call() -> Call {
        Call {
            principal: Principal::root(AccountId::parse("000000000000").unwrap(), None),
            region: Region::parse("us-east-1").unwrap(),
            granted_account: None,
            trace_header: None,
            request_id: RequestId::from_text("id"),
            received_at_ms: 0,
            origin: String::new(),
        }
    }

    fn input(members: &[(&str, &str)]) -> Doc {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), Doc::String((*value).to_owned()));
        Doc::Map(members.iter().map(text).collect())
    }

    #[test]
    fn some_operations_need_nothing() {
        let call = call();
        for operation in ["GetCallerIdentity", "GetSessionToken"] {
            assert!(needs(operation, &input(&[]), &call).is_empty());
        }
        let federated = needs("GetFederationToken", &input(&[("Name", "bob")]), &call);
        assert_eq!(federated[0].resource, "arn:aws:sts::000000000000:federated-user/bob");
        assert_eq!(needs("GetAccessKeyInfo", &input(&[]), &call), [Need::new("sts:GetAccessKeyInfo", "*")]);
    }

    #[test]
    fn assuming_a_role_needs_it_and_what_the_session_carries() {
        let members = [("RoleArn", ROLE), ("RoleSessionName", "s"), ("ExternalId", "42"), ("SourceIdentity", "ann")];
        let needs = needs("AssumeRole", &input(&members), &call());
        let actions: Vec<&str> = needs.iter().map(|need| need.action.as_str()).collect();
        assert_eq!(actions, ["sts:AssumeRole", "sts:SetSourceIdentity"]);
        assert!(needs.iter().all(|need| need.resource == ROLE && need.policy_use == PolicyUse::MustAllow));
        assert!(needs[0].context.contains(&("sts:ExternalId".to_owned(), vec!["42".to_owned()])));
    }
}

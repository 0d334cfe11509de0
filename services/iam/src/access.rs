//! What the caller of each operation must be allowed, on which resource, under which condition keys.
//!
//! Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>.
//! ARNs contain the path of what exists already, which a request does not say: it is looked up.

use crate::Iam;
use crate::model::{GroupRecord, Named, ProfileRecord, RoleRecord, Tagged, UserRecord};
use gust_kit::{Call, Need, PrincipalKind, ResourceFacts, request_tags};
use gust_store::{Read, StoreError};
use gust_types::{AccountId, Arn, Doc};

/// What requests name by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `RoleName`
    Role,
    /// `UserName`
    User,
    /// `GroupName`
    Group,
    /// `InstanceProfileName`
    InstanceProfile,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Kind::Role => "role",
            Kind::User => "user",
            Kind::Group => "group",
            Kind::InstanceProfile => "instance-profile",
        }
    }
}

/// What an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject<'a> {
    /// Something that exists, or is to be made at a path.
    Named { kind: Kind, name: &'a str, path: Option<&'a str> },
    /// The caller itself: an operation on users that names none.
    Caller,
    /// What the request spells out.
    Arn(String),
}

fn text<'a>(input: &'a Doc, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Doc::as_str)
}

/// Operations on users that mean the caller if they name nobody.
const ABOUT_CALLER: [&str; 6] =
    ["GetUser", "CreateAccessKey", "DeleteAccessKey", "UpdateAccessKey", "ListAccessKeys", "GetAccessKeyLastUsed"];

fn subject<'a>(operation: &str, input: &'a Doc, call: &Call) -> Subject<'a> {
    let global = |resource: String| Subject::Arn(Arn::global("iam", call.account(), resource).to_string());
    let below = |prefix: &str| global(format!("{prefix}{}", text(input, "PathPrefix").unwrap_or("/")));
    match operation {
        "ListRoles" => return below("role"),
        "ListUsers" => return below("user"),
        "ListGroups" => return below("group"),
        "ListInstanceProfiles" => return below("instance-profile"),
        "ListPolicies" => return Subject::Arn("policy path /".to_owned()),
        "CreatePolicy" => {
            let (path, name) = (text(input, "Path").unwrap_or("/"), text(input, "PolicyName").unwrap_or_default());
            return global(format!("policy{path}{name}"));
        }
        "CreateServiceLinkedRole" => {
            return global(format!("role/aws-service-role/{}/*", text(input, "AWSServiceName").unwrap_or_default()));
        }
        _ => {}
    }
    // Of several names the first is what the operation acts upon: a role put into an instance profile, a user into a
    // group.
    let order = [
        ("InstanceProfileName", Kind::InstanceProfile),
        ("GroupName", Kind::Group),
        ("RoleName", Kind::Role),
        ("UserName", Kind::User),
    ];
    if let Some((kind, name)) = order.into_iter().find_map(|(member, kind)| Some((kind, text(input, member)?))) {
        let path = operation.starts_with("Create").then(|| text(input, "Path").unwrap_or("/"));
        // An access key is made for a user who exists.
        return Subject::Named { kind, name, path: path.filter(|_| operation != "CreateAccessKey") };
    }
    for member in ["PolicyArn", "OpenIDConnectProviderArn", "PolicySourceArn"] {
        if let Some(arn) = text(input, member) {
            return Subject::Arn(arn.to_owned());
        }
    }
    if ABOUT_CALLER.contains(&operation) { Subject::Caller } else { Subject::Arn("*".to_owned()) }
}

fn with_keys(mut need: Need, operation: &str, input: &Doc) -> Need {
    let attaches = operation.starts_with("Attach") || operation.starts_with("Detach");
    if let Some(arn) = text(input, "PolicyArn").filter(|_| attaches) {
        need = need.with("iam:PolicyARN", vec![arn.to_owned()]);
    }
    for (member, key) in [("PermissionsBoundary", "iam:PermissionsBoundary"), ("AWSServiceName", "iam:AWSServiceName")]
    {
        if let Some(value) = text(input, member) {
            need = need.with(key, vec![value.to_owned()]);
        }
    }
    if let Some(Doc::List(keys)) = input.get("TagKeys") {
        need = need.with("aws:TagKeys", keys.iter().filter_map(Doc::as_str).map(str::to_owned).collect());
    }
    need.with_request_tags(request_tags(input, "Tags"))
}

impl Iam {
    /// Everything that `operation` with `input` needs.
    pub(crate) async fn needs_of(&self, operation: &str, input: &Doc, call: &Call) -> Result<Vec<Need>, StoreError> {
        let resource = match subject(operation, input, call) {
            Subject::Arn(arn) => arn,
            Subject::Caller if call.principal.kind == PrincipalKind::User => call.principal.arn.clone(),
            Subject::Caller => "*".to_owned(),
            Subject::Named { kind, name, path: Some(path) } => arn(kind, call.account(), path, name),
            Subject::Named { kind, name, path: None } => self.arn_of(kind, call.account(), name).await?,
        };
        let mut needs = vec![with_keys(Need::new(format!("iam:{operation}"), resource), operation, input)];
        if operation == "AddRoleToInstanceProfile" {
            let role = self.arn_of(Kind::Role, call.account(), text(input, "RoleName").unwrap_or_default()).await?;
            let pass = Need::new("iam:PassRole", role);
            needs.push(pass.with("iam:PassedToService", vec!["ec2.amazonaws.com".to_owned()]));
        }
        Ok(needs)
    }

    async fn arn_of(&self, kind: Kind, account: &AccountId, name: &str) -> Result<String, StoreError> {
        let found = match kind {
            Kind::Role => self.found::<RoleRecord>(account, name).await?,
            Kind::User => self.found::<UserRecord>(account, name).await?,
            Kind::Group => self.found::<GroupRecord>(account, name).await?,
            Kind::InstanceProfile => self.found::<ProfileRecord>(account, name).await?,
        };
        let (path, name) = found.unwrap_or_else(|| ("/".to_owned(), name.to_owned()));
        Ok(arn(kind, account, &path, &name))
    }

    /// Path and name of what exists. Requests may write a name in any case; ARNs have it as it was given first.
    async fn found<N: Named>(&self, account: &AccountId, name: &str) -> Result<Option<(String, String)>, StoreError> {
        let key = N::key(account, name);
        let found = self.platform.store.read(move |read: &mut dyn Read| N::load(read, &key)).await?;
        Ok(found.map(|found| (found.path().to_owned(), found.name().to_owned())))
    }

    /// The tags of a role or a user, by its ARN.
    pub(crate) async fn facts_of(&self, resource: &str) -> Result<ResourceFacts, StoreError> {
        let tags = match part(resource) {
            Some((account, "role", name)) => self.tags::<RoleRecord>(&account, name).await?,
            Some((account, "user", name)) => self.tags::<UserRecord>(&account, name).await?,
            _ => Vec::new(),
        };
        Ok(ResourceFacts { policy: None, tags })
    }

    async fn tags<T: Tagged>(&self, account: &AccountId, name: &str) -> Result<Vec<(String, String)>, StoreError> {
        let key = T::key(account, name);
        let found = self.platform.store.read(move |read: &mut dyn Read| T::load(read, &key)).await?;
        Ok(found.map(|found| found.tags().clone()).unwrap_or_default())
    }
}

/// Account, kind and name in an ARN.
fn part(resource: &str) -> Option<(AccountId, &str, &str)> {
    let mut parts = resource.splitn(6, ':').skip(4);
    let (account, resource) = (AccountId::parse(parts.next()?)?, parts.next()?);
    let (kind, path) = resource.split_once('/')?;
    Some((account, kind, path.rsplit('/').next()?))
}

fn arn(kind: Kind, account: &AccountId, path: &str, name: &str) -> String {
    Arn::global("iam", account, format!("{}{path}{name}", kind.prefix())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{CreateRole, CreateRoleRequest, Tag};
    use crate::tests::{Bed, TRUST};
    use gust_kit::Principal;
    use gust_types::{Region, RequestId};

    fn input(members: &[(&str, &str)]) -> Doc {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), Doc::String((*value).to_owned()));
        Doc::Map(members.iter().map(text).collect())
    }

    async fn needs(bed: &Bed, operation: &str, input: &Doc) -> Vec<Need> {
        let call = Call {
            principal: Principal::root(AccountId::parse("000000000000").unwrap(), None),
            region: Region::parse("us-east-1").unwrap(),
            granted_account: None,
            trace_header: None,
            request_id: RequestId::from_text("id"),
            received_at_ms: 0,
            origin: String::new(),
        };
        bed.iam().needs_of(operation, input, &call).await.unwrap()
    }

    #[tokio::test]
    async fn operations_need_their_action_on_what_they_name() {
        let bed = Bed::new();
        bed.create_role_at("/team/", "worker").await;
        let (role, user) = (("RoleName", "worker"), ("UserName", "ann"));
        let policy = ("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess");
        for (operation, members, expected) in [
            ("GetRole", vec![role], "role/team/worker"),
            ("GetRole", vec![("RoleName", "WORKER")], "role/team/worker"),
            ("GetRole", vec![("RoleName", "none")], "role/none"),
            ("CreateRole", vec![("RoleName", "new"), ("Path", "/a/")], "role/a/new"),
            ("AttachRolePolicy", vec![role, policy], "role/team/worker"),
            ("CreateUser", vec![user], "user/ann"),
            ("CreateAccessKey", vec![user], "user/ann"),
            ("AddUserToGroup", vec![user, ("GroupName", "admins")], "group/admins"),
            ("CreatePolicy", vec![("PolicyName", "p"), ("Path", "/x/")], "policy/x/p"),
            ("ListRoles", vec![], "role/"),
            ("ListUsers", vec![("PathPrefix", "/a/")], "user/a/"),
            (
                "CreateServiceLinkedRole",
                vec![("AWSServiceName", "lambda.amazonaws.com")],
                "role/aws-service-role/lambda.amazonaws.com/*",
            ),
        ] {
            let needs = needs(&bed, operation, &input(&members)).await;
            assert_eq!(needs[0].action, format!("iam:{operation}"));
            assert_eq!(needs[0].resource, format!("arn:aws:iam::000000000000:{expected}"), "{operation}");
        }
        for (operation, members, expected) in [
            ("GetPolicy", vec![policy], policy.1),
            ("ListPolicies", vec![], "policy path /"),
            ("GetAccountSummary", vec![], "*"),
            ("ListAccessKeys", vec![], "*"),
        ] {
            assert_eq!(needs(&bed, operation, &input(&members)).await[0].resource, expected, "{operation}");
        }
    }

    #[tokio::test]
    async fn keys_come_from_the_request_and_a_passed_role_is_asked_for() {
        let bed = Bed::new();
        let policy = "arn:aws:iam::aws:policy/ReadOnlyAccess";
        let attach = needs(&bed, "AttachRolePolicy", &input(&[("RoleName", "r"), ("PolicyArn", policy)])).await;
        assert_eq!(attach[0].context, [("iam:PolicyARN".to_owned(), vec![policy.to_owned()])]);
        let bound = needs(&bed, "CreateUser", &input(&[("UserName", "u"), ("PermissionsBoundary", policy)])).await;
        assert_eq!(bound[0].context, [("iam:PermissionsBoundary".to_owned(), vec![policy.to_owned()])]);
        let names = input(&[("InstanceProfileName", "p"), ("RoleName", "r")]);
        let add = needs(&bed, "AddRoleToInstanceProfile", &names).await;
        let shown: Vec<String> = add.iter().map(|need| format!("{} {}", need.action, need.resource)).collect();
        let account = "arn:aws:iam::000000000000";
        assert_eq!(
            shown,
            [
                format!("iam:AddRoleToInstanceProfile {account}:instance-profile/p"),
                format!("iam:PassRole {account}:role/r")
            ]
        );
    }

    #[tokio::test]
    async fn the_tags_of_roles_are_known() {
        let bed = Bed::new();
        let tags = vec![Tag { key: "team".to_owned(), value: "blue".to_owned() }];
        let role = CreateRoleRequest {
            role_name: "worker".to_owned(),
            assume_role_policy_document: TRUST.to_owned(),
            tags: Some(tags),
            ..CreateRoleRequest::default()
        };
        bed.run::<CreateRole>(role).await.unwrap();
        let facts = bed.iam().facts_of("arn:aws:iam::000000000000:role/worker").await.unwrap();
        assert_eq!(facts.tags, [("team".to_owned(), "blue".to_owned())]);
        for resource in ["arn:aws:iam::000000000000:user/worker", "arn:aws:iam::aws:policy/a", "*", ""] {
            assert_eq!(bed.iam().facts_of(resource).await.unwrap(), ResourceFacts::default(), "{resource}");
        }
    }
}

//! What the tests of all operations share: a service on a store in memory.

use crate::Iam;
use crate::api::*;
use crate::error::IamError;
use bytes::Bytes;
use gust_kit::ports::{UserKey, UserKeys};
use gust_kit::{Call, Cx, Operation, Platform, Principal, PrincipalKind};
use gust_store::{Key, Read, Store, StoreError, Table, Tx};
use gust_types::{AccountId, AwsError, Ids, ManualClock, Region, RequestId, SeededIds};
use std::sync::Arc;

/// A trust policy.
pub const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
/// A policy.
pub const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// Keeps users' keys as their users' ARNs.
struct Keys;

impl Keys {
    fn key(access_key_id: &str) -> Key {
        Table(0xffff).key().text(access_key_id)
    }
}

impl UserKeys for Keys {
    fn fresh(&self, ids: &dyn Ids) -> (String, String) {
        (format!("AKIA{}", ids.text(b"ABCDEFGH", 16)), ids.text(b"abcdefgh", 40))
    }

    fn add(&self, tx: &mut dyn Tx, key: &UserKey) -> Result<(), StoreError> {
        tx.put(Keys::key(&key.access_key_id), Bytes::copy_from_slice(key.user_arn.as_bytes()))
    }

    fn set_active(&self, _: &mut dyn Tx, _: &str, _: bool) -> Result<(), StoreError> {
        Ok(())
    }

    fn rename(&self, tx: &mut dyn Tx, access_key_id: &str, user_arn: &str) -> Result<(), StoreError> {
        tx.put(Keys::key(access_key_id), Bytes::copy_from_slice(user_arn.as_bytes()))
    }

    fn remove(&self, tx: &mut dyn Tx, access_key_id: &str) -> Result<(), StoreError> {
        tx.delete(Keys::key(access_key_id))
    }

    fn user_arn(&self, read: &mut dyn Read, access_key_id: &str) -> Result<Option<String>, StoreError> {
        Ok(read.get(&Keys::key(access_key_id))?.map(|arn| String::from_utf8_lossy(&arn).into_owned()))
    }
}

/// A service to be tested.
pub struct Bed(Arc<Iam>);

impl Bed {
    /// A service without roles, at 2023-11-14T22:13:20.500Z.
    pub fn new() -> Bed {
        let (clock, ids) = (Arc::new(ManualClock::at(1_700_000_000_500)), Arc::new(SeededIds::new(1)));
        Bed(Arc::new(Iam::new(Platform { store: Store::memory(), clock, ids }, Arc::new(Keys))))
    }

    pub fn iam(&self) -> &Iam {
        &self.0
    }

    pub fn store(&self) -> Store {
        self.0.platform.store.clone()
    }

    pub async fn run<O>(&self, input: O::Input) -> Result<O::Output, IamError>
    where
        O: Operation<Service = Iam, Error = IamError>,
    {
        self.run_in::<O>("000000000000", input).await
    }

    pub async fn run_in<O>(&self, account: &str, input: O::Input) -> Result<O::Output, IamError>
    where
        O: Operation<Service = Iam, Error = IamError>,
    {
        self.run_as::<O>(Principal::root(AccountId::parse(account).unwrap(), None), input).await
    }

    pub async fn run_as<O>(&self, principal: Principal, input: O::Input) -> Result<O::Output, IamError>
    where
        O: Operation<Service = Iam, Error = IamError>,
    {
        let call = Call {
            principal,
            region: Region::parse("us-east-1").unwrap(),
            granted_account: None,
            request_id: RequestId::from_text("id"),
            received_at_ms: 0,
            trace_header: None,
            origin: "http://127.0.0.1:4566".to_owned(),
        };
        O::run(&Cx { service: self.0.clone(), call }, input).await
    }

    pub async fn create_role(&self, name: &str) -> Role {
        self.create_role_at("/", name).await
    }

    pub async fn create_role_at(&self, path: &str, name: &str) -> Role {
        let input = CreateRoleRequest {
            path: Some(path.to_owned()),
            role_name: name.to_owned(),
            assume_role_policy_document: TRUST.to_owned(),
            ..CreateRoleRequest::default()
        };
        self.run::<CreateRole>(input).await.unwrap().role
    }

    pub async fn delete_role(&self, name: &str) -> Result<(), IamError> {
        self.run::<DeleteRole>(DeleteRoleRequest { role_name: name.to_owned() }).await.map(|_| ())
    }

    pub async fn create_user(&self, name: &str) -> User {
        let input = CreateUserRequest { user_name: name.to_owned(), ..Default::default() };
        self.run::<CreateUser>(input).await.unwrap().user.unwrap()
    }

    pub async fn delete_user(&self, name: &str) -> Result<(), IamError> {
        self.run::<DeleteUser>(DeleteUserRequest { user_name: name.to_owned() }).await.map(|_| ())
    }

    pub async fn create_group(&self, name: &str) -> Group {
        let input = CreateGroupRequest { group_name: name.to_owned(), path: None };
        self.run::<CreateGroup>(input).await.unwrap().group
    }

    pub async fn delete_group(&self, name: &str) -> Result<(), IamError> {
        self.run::<DeleteGroup>(DeleteGroupRequest { group_name: name.to_owned() }).await.map(|_| ())
    }

    pub async fn join(&self, user: &str, group: &str) -> Result<(), IamError> {
        let (user_name, group_name) = (user.to_owned(), group.to_owned());
        self.run::<AddUserToGroup>(AddUserToGroupRequest { group_name, user_name }).await.map(|_| ())
    }

    pub async fn create_key(&self, user: &str) -> Result<AccessKey, IamError> {
        let input = CreateAccessKeyRequest { user_name: Some(user.to_owned()) };
        self.run::<CreateAccessKey>(input).await.map(|response| response.access_key)
    }

    pub async fn create_policy(&self, name: &str) -> Policy {
        let input = CreatePolicyRequest {
            policy_name: name.to_owned(),
            policy_document: POLICY.to_owned(),
            ..Default::default()
        };
        self.run::<CreatePolicy>(input).await.unwrap().policy.unwrap()
    }

    pub async fn put_policy(&self, role: &str, name: &str) -> Result<(), IamError> {
        let (role_name, policy_name, policy_document) = (role.to_owned(), name.to_owned(), POLICY.to_owned());
        self.run::<PutRolePolicy>(PutRolePolicyRequest { role_name, policy_name, policy_document }).await.map(|_| ())
    }

    pub async fn delete_policy(&self, role: &str, name: &str) -> Result<(), IamError> {
        let (role_name, policy_name) = (role.to_owned(), name.to_owned());
        self.run::<DeleteRolePolicy>(DeleteRolePolicyRequest { role_name, policy_name }).await.map(|_| ())
    }

    pub async fn attach(&self, role: &str, policy: &str) -> Result<(), IamError> {
        let (role_name, policy_arn) = (role.to_owned(), format!("arn:aws:iam::aws:policy/{policy}"));
        self.run::<AttachRolePolicy>(AttachRolePolicyRequest { role_name, policy_arn }).await.map(|_| ())
    }

    pub async fn detach(&self, role: &str, policy: &str) -> Result<(), IamError> {
        let (role_name, policy_arn) = (role.to_owned(), format!("arn:aws:iam::aws:policy/{policy}"));
        self.run::<DetachRolePolicy>(DetachRolePolicyRequest { role_name, policy_arn }).await.map(|_| ())
    }

    /// The names of the attached policies.
    pub async fn attached(&self, role: &str) -> Vec<String> {
        let input = ListAttachedRolePoliciesRequest { role_name: role.to_owned(), ..Default::default() };
        let policies = self.run::<ListAttachedRolePolicies>(input).await.unwrap().attached_policies;
        policies.unwrap_or_default().into_iter().filter_map(|policy| policy.policy_name).collect()
    }
}

/// Code and message of a refusal.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, IamError>) -> (String, String) {
    let error = AwsError::from(result.unwrap_err());
    (error.code.into_owned(), error.message)
}

/// A caller of account 000000000000.
pub fn caller(kind: PrincipalKind, arn: &str) -> Principal {
    let account = AccountId::parse("000000000000").unwrap();
    Principal { kind, arn: arn.to_owned(), ..Principal::root(account, None) }
}

/// A policy of so many characters without white space.
pub fn document_of(characters: usize) -> String {
    let frame = r#"{"Version": "2012-10-17", "Statement": {"Effect":"Allow","Action":"*","Resource":"arn:"}}"#;
    let rest = characters - crate::model::characters(frame);
    frame.replace("arn:", &format!("arn:{}", "x".repeat(rest)))
}

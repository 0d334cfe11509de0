//! What the tests share: a service on a store in memory, with one role.

use crate::error::StsError;
use crate::{KeyRing, RolePolicy, Sts};
use async_trait::async_trait;
use gust_kit::ports::{RoleDirectory, RoleSummary};
use gust_kit::{Call, Cx, Operation, Platform, Principal, PrincipalKind};
use gust_store::{Store, StoreError};
use gust_types::{AccountId, AwsError, ManualClock, Region, RequestId, SeededIds};
use std::sync::Arc;

/// The role that exists; its sessions last two hours at most.
pub const ROLE: &str = "arn:aws:iam::000000000000:role/team/worker";

struct OneRole;

#[async_trait]
impl RoleDirectory for OneRole {
    async fn role(&self, role_arn: &str) -> Result<Option<RoleSummary>, StoreError> {
        let summary = RoleSummary {
            arn: ROLE.to_owned(),
            role_id: "AROAEXISTING".to_owned(),
            max_session_duration_s: 7_200,
            trust_policy: "{}".to_owned(),
            tags: Vec::new(),
        };
        Ok((role_arn == ROLE).then_some(summary))
    }
}

/// A service to be tested.
pub struct Bed {
    pub clock: Arc<ManualClock>,
    pub key_ring: Arc<KeyRing>,
    platform: Platform,
    sts: Arc<Sts>,
}

impl Bed {
    /// A service of an open gust at 2023-11-14T22:13:20.500Z.
    pub fn new() -> Bed {
        Bed::with(RolePolicy::Any)
    }

    /// A service of a strict gust.
    pub fn strict() -> Bed {
        Bed::with(RolePolicy::Existing)
    }

    fn with(role_policy: RolePolicy) -> Bed {
        let (clock, ids) = (Arc::new(ManualClock::at(1_700_000_000_500)), Arc::new(SeededIds::new(1)));
        let platform = Platform { store: Store::memory(), clock: clock.clone(), ids };
        let key_ring = Arc::new(KeyRing::new(platform.clone(), Arc::new(OneRole)));
        let sts = Arc::new(Sts::new(platform.clone(), key_ring.clone(), Arc::new(OneRole), role_policy));
        Bed { clock, key_ring, platform, sts }
    }

    pub fn store(&self) -> Store {
        self.platform.store.clone()
    }

    pub fn account(&self) -> AccountId {
        AccountId::parse("000000000000").unwrap()
    }

    /// The same keys with nothing in memory.
    pub fn restarted(&self) -> Arc<KeyRing> {
        Arc::new(KeyRing::new(self.platform.clone(), Arc::new(OneRole)))
    }

    pub async fn run<O>(&self, input: O::Input) -> Result<O::Output, StsError>
    where
        O: Operation<Service = Sts, Error = StsError>,
    {
        self.run_as::<O>(Principal::root(self.account(), None), input).await
    }

    pub async fn run_as<O>(&self, principal: Principal, input: O::Input) -> Result<O::Output, StsError>
    where
        O: Operation<Service = Sts, Error = StsError>,
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
        O::run(&Cx { service: self.sts.clone(), call }, input).await
    }
}

/// Code and message of a refusal.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, StsError>) -> (String, String) {
    let error = AwsError::from(result.unwrap_err());
    (error.code.into_owned(), error.message)
}

/// A user of the account.
pub fn user(bed: &Bed) -> Principal {
    Principal {
        kind: PrincipalKind::User,
        arn: "arn:aws:iam::000000000000:user/ann".to_owned(),
        user_id: "AIDAANN".to_owned(),
        ..Principal::root(bed.account(), None)
    }
}

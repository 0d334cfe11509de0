//! The policies of principals for whoever evaluates them (the port `PolicySource`): asked on every request, answered from
//! memory until something changes.

use crate::family::inline;
use crate::limits::CACHED_PRINCIPALS_MAX;
use crate::model::{GroupRecord, Holder, Named, PolicyRecord, RoleRecord, UserRecord};
use crate::rules::managed;
use async_trait::async_trait;
use gust_kit::ports::{Boundary, PolicySource, PrincipalPolicies};
use gust_kit::{Principal, PrincipalKind, Session};
use gust_store::{Read, Record, Store, StoreError, Subscription};
use gust_types::AccountId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Woken by every change of anything that IAM keeps.
pub(crate) const CHANGES_TOPIC: &str = "iam/changes";

/// Who a cached answer is about: ARN, unique id and access key (a session's policies belong to its key).
type Whose = (String, String, Option<String>);

/// The policies in a store.
pub struct Policies {
    store: Store,
    kept: RwLock<Kept>,
    /// The last [`PrincipalPolicies::version`].
    version: AtomicU64,
}

struct Kept {
    changes: Subscription,
    answers: HashMap<Whose, Arc<PrincipalPolicies>>,
}

impl Policies {
    /// The policies in `store`.
    pub fn new(store: Store) -> Policies {
        let kept = Kept { changes: store.subscribe(CHANGES_TOPIC), answers: HashMap::new() };
        Policies { store, kept: RwLock::new(kept), version: AtomicU64::new(0) }
    }

    fn kept(&self, whose: &Whose) -> Option<Arc<PrincipalPolicies>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if kept.changes.is_woken() { None } else { kept.answers.get(whose).cloned() }
    }

    /// Forgets what was read before a change; what is read from now on is newer.
    fn heed_changes(&self) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.changes.is_woken() {
            kept.changes.heard();
            kept.answers.clear();
        }
    }

    fn keep(&self, whose: Whose, answer: &Arc<PrincipalPolicies>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        // A change since [`Policies::heed_changes`] may have come after the read.
        if kept.changes.is_woken() {
            return;
        }
        if kept.answers.len() >= CACHED_PRINCIPALS_MAX {
            kept.answers.clear();
        }
        kept.answers.insert(whose, answer.clone());
    }
}

#[async_trait]
impl PolicySource for Policies {
    async fn policies(&self, principal: &Principal) -> Result<Arc<PrincipalPolicies>, StoreError> {
        let whose = (principal.arn.clone(), principal.user_id.clone(), principal.access_key_id.clone());
        if let Some(answer) = self.kept(&whose) {
            return Ok(answer);
        }
        self.heed_changes();
        let owner = principal.clone();
        let mut policies = self.store.read(move |read: &mut dyn Read| gather(read, &owner)).await?;
        policies.version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = Arc::new(policies);
        self.keep(whose, &answer);
        Ok(answer)
    }
}

fn gather(read: &mut dyn Read, principal: &Principal) -> Result<PrincipalPolicies, StoreError> {
    let account = &principal.account;
    let mut policies = match principal.kind {
        PrincipalKind::AssumedRole => of_role(read, principal)?,
        PrincipalKind::User => of_user(read, account, &principal.arn, Some(&principal.user_id))?,
        // Whoever lent the session is named by it.
        PrincipalKind::FederatedUser => match &principal.session {
            Some(session) => of_user(read, account, &session.issuer_arn, None)?,
            None => PrincipalPolicies::default(),
        },
        PrincipalKind::Root | PrincipalKind::Internal => PrincipalPolicies::default(),
    };
    if let Some(session) = principal.session.as_deref() {
        add_session(read, session, principal, &mut policies)?;
    }
    Ok(policies)
}

/// What a role's sessions may do: nothing, once it is gone or another one has its name.
fn of_role(read: &mut dyn Read, principal: &Principal) -> Result<PrincipalPolicies, StoreError> {
    let name = principal.arn.split('/').nth(1).unwrap_or_default();
    let account = &principal.account;
    let role = RoleRecord::load(read, &RoleRecord::key(account, name))?;
    let is_same = |role: &RoleRecord| principal.user_id.split(':').next() == Some(role.entity.id.as_str());
    let Some(role) = role.filter(is_same) else { return Ok(PrincipalPolicies::default()) };
    let mut policies = PrincipalPolicies { tags: role.entity.tags.clone(), ..PrincipalPolicies::default() };
    add_own(read, account, &role, &mut policies)?;
    Ok(policies)
}

/// What a user may do, by itself and by its groups. `id` tells it from another one that has its name now.
fn of_user(
    read: &mut dyn Read,
    account: &AccountId,
    arn: &str,
    id: Option<&str>,
) -> Result<PrincipalPolicies, StoreError> {
    let name = arn.rsplit('/').next().unwrap_or_default();
    let user = UserRecord::load(read, &UserRecord::key(account, name))?;
    let is_same = |user: &UserRecord| user.arn(account) == arn && id.is_none_or(|id| id == user.entity.id);
    let Some(user) = user.filter(is_same) else { return Ok(PrincipalPolicies::default()) };
    let mut policies = PrincipalPolicies {
        tags: user.entity.tags.clone(),
        user_name: Some(user.entity.name.clone()),
        ..PrincipalPolicies::default()
    };
    add_own(read, account, &user, &mut policies)?;
    for group in &user.groups {
        if let Some(group) = GroupRecord::load(read, &GroupRecord::key(account, group))? {
            add_own(read, account, &group, &mut policies)?;
        }
    }
    Ok(policies)
}

/// Adds what a role, user or group allows and denies by itself.
fn add_own<H: Holder>(
    read: &mut dyn Read,
    account: &AccountId,
    holder: &H,
    policies: &mut PrincipalPolicies,
) -> Result<(), StoreError> {
    let inline = inline::all(read, H::KIND, account, holder.name())?;
    policies.identity.extend(inline.into_iter().map(|policy| Arc::from(policy.document)));
    for arn in &holder.entity().attached {
        policies.identity.extend(document(read, account, arn)?);
    }
    if let Some(arn) = &holder.entity().permissions_boundary {
        policies.boundary = document(read, account, arn)?.map_or(Boundary::Unknown, Boundary::Document);
    }
    Ok(())
}

fn add_session(
    read: &mut dyn Read,
    session: &Session,
    principal: &Principal,
    policies: &mut PrincipalPolicies,
) -> Result<(), StoreError> {
    if session.is_narrowed() || principal.kind == PrincipalKind::FederatedUser {
        let mut texts: Vec<Arc<str>> = session.policy.as_deref().map(Arc::from).into_iter().collect();
        for arn in &session.policy_arns {
            texts.extend(document(read, &principal.account, arn)?);
        }
        policies.session = Some(texts);
    }
    let own = session.tags.iter().map(|(key, _)| key.to_lowercase()).collect::<Vec<_>>();
    policies.tags.retain(|(key, _)| !own.contains(&key.to_lowercase()));
    policies.tags.splice(0..0, session.tags.iter().cloned());
    Ok(())
}

/// The text of a managed policy; `None` if it is gone or gust does not know its content.
fn document(read: &mut dyn Read, account: &AccountId, arn: &str) -> Result<Option<Arc<str>>, StoreError> {
    if let Some(document) = managed::document(arn) {
        return Ok(Some(Arc::from(document)));
    }
    let document = match PolicyRecord::existing(read, account, arn)? {
        Some(policy) => policy.default_document(read, account)?,
        None => None,
    };
    if document.is_none() {
        tracing::warn!(policy = arn, "the content of this managed policy is not known: it allows nothing");
    }
    Ok(document.map(Arc::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::*;
    use crate::tests::{Bed, POLICY};
    use gust_kit::ports::PolicySource;

    fn session_of(role_id: &str, session: Option<Session>) -> Principal {
        Principal {
            kind: PrincipalKind::AssumedRole,
            account: AccountId::parse("000000000000").unwrap(),
            arn: "arn:aws:sts::000000000000:assumed-role/worker/s".to_owned(),
            user_id: format!("{role_id}:s"),
            access_key_id: Some("ASIA".to_owned()),
            session: session.map(Arc::new),
        }
    }

    #[tokio::test]
    async fn answers_come_from_memory_until_something_changes() {
        let bed = Bed::new();
        let role = bed.create_role("worker").await;
        let policies = Policies::new(bed.store());
        let caller = session_of(&role.role_id, None);
        let first = policies.policies(&caller).await.unwrap();
        assert!(first.identity.is_empty() && first.session.is_none());
        assert!(Arc::ptr_eq(&first, &policies.policies(&caller).await.unwrap()));
        bed.put_policy("worker", "p").await.unwrap();
        let second = policies.policies(&caller).await.unwrap();
        assert_eq!((second.identity.len(), &*second.identity[0]), (1, POLICY));
        assert_ne!(first.version, second.version);
        bed.attach("worker", "AdministratorAccess").await.unwrap();
        assert_eq!(policies.policies(&caller).await.unwrap().identity.len(), 2);
    }

    #[tokio::test]
    async fn a_role_made_anew_gives_old_sessions_nothing() {
        let bed = Bed::new();
        let old = bed.create_role("worker").await;
        bed.delete_role("worker").await.unwrap();
        let policies = Policies::new(bed.store());
        let caller = session_of(&old.role_id, None);
        assert!(policies.policies(&caller).await.unwrap().identity.is_empty());
        bed.create_role("worker").await;
        bed.put_policy("worker", "p").await.unwrap();
        assert!(policies.policies(&caller).await.unwrap().identity.is_empty());
    }

    #[tokio::test]
    async fn sessions_are_narrowed_and_their_tags_come_first() {
        let bed = Bed::new();
        let role = bed.create_role("worker").await;
        let policies = Policies::new(bed.store());
        let session = Session {
            policy: Some(POLICY.to_owned()),
            policy_arns: vec!["arn:aws:iam::aws:policy/AdministratorAccess".to_owned(), "arn:gone".to_owned()],
            tags: vec![("Team".to_owned(), "a".to_owned())],
            ..Session::default()
        };
        let found = policies.policies(&session_of(&role.role_id, Some(session))).await.unwrap();
        assert_eq!((found.session.as_ref().unwrap().len(), found.tags.len()), (2, 1));
        let wide = policies.policies(&session_of(&role.role_id, None)).await.unwrap();
        // The same ARN, id and key with another session cannot be: a key has one session.
        assert!(Arc::ptr_eq(&found, &wide));
    }

    #[tokio::test]
    async fn users_have_what_their_groups_have() {
        let bed = Bed::new();
        let ann = bed.create_user("ann").await;
        bed.create_group("staff").await;
        bed.join("ann", "staff").await.unwrap();
        let mine = bed.create_policy("mine").await.arn.unwrap();
        let attach = AttachGroupPolicyRequest { group_name: "staff".to_owned(), policy_arn: mine.clone() };
        bed.run::<AttachGroupPolicy>(attach).await.unwrap();
        let bound = PutUserPermissionsBoundaryRequest {
            user_name: "ann".to_owned(),
            permissions_boundary: "arn:aws:iam::aws:policy/AIDevOpsAgentFullAccess".to_owned(),
        };
        bed.run::<PutUserPermissionsBoundary>(bound).await.unwrap();
        let policies = Policies::new(bed.store());
        let caller = Principal { user_id: ann.user_id, ..crate::tests::caller(PrincipalKind::User, &ann.arn) };
        let found = policies.policies(&caller).await.unwrap();
        assert_eq!((found.identity.len(), &*found.identity[0]), (1, POLICY));
        // The content of that boundary is not known: nothing is inside.
        assert_eq!((&found.boundary, found.user_name.as_deref()), (&Boundary::Unknown, Some("ann")));
        let version = CreatePolicyVersionRequest {
            policy_arn: mine,
            policy_document: POLICY.replace("Allow", "Deny"),
            set_as_default: Some(true),
        };
        bed.run::<CreatePolicyVersion>(version).await.unwrap();
        let found = policies.policies(&caller).await.unwrap();
        assert!(found.identity[0].contains("Deny"));

        let session = Session { issuer_arn: caller.arn.clone(), ..Session::default() };
        let lent = Principal {
            kind: PrincipalKind::FederatedUser,
            arn: "arn:aws:sts::000000000000:federated-user/x".to_owned(),
            session: Some(Arc::new(session)),
            ..caller.clone()
        };
        let lent = policies.policies(&lent).await.unwrap();
        assert_eq!((lent.identity.len(), lent.session.as_deref()), (1, Some(&[][..])));
        let stranger = Principal { user_id: "AIDAOTHER".to_owned(), ..caller };
        assert!(policies.policies(&stranger).await.unwrap().identity.is_empty());
    }
}

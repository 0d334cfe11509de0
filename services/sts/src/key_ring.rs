//! The keys of a gust: sessions of roles and root keys. Everything that signs is looked up here.

use crate::key_cache::{KeyCache, Known};
use crate::keys;
use crate::limits::{EXPIRED_KEPT_MS, EXPIRED_REMOVED_MAX, REUSED_SESSIONS_MAX};
use crate::model::{KeyRecord, Owner, RoleName, RootKeyRecord, fresh_key, fresh_token};
use async_trait::async_trait;
use bytes::Bytes;
use gust_kit::ports::{CredentialError, CredentialSource, Credentials, KeyOwner, RoleDirectory, RoleSession};
use gust_kit::{Platform, Session};
use gust_store::{Order, Range, Read, Record, StoreError, Subscription, Tx};
use gust_types::AccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A session that was made.
#[derive(Debug, Clone)]
pub(crate) struct MadeSession {
    pub credentials: Credentials,
    /// When it ends, in milliseconds since the epoch.
    pub expires_at_ms: i64,
    /// The session's ARN.
    pub arn: String,
    /// `AROA...:name`
    pub user_id: String,
}

impl MadeSession {
    /// Its credentials as responses show them, this once.
    pub fn show(&self) -> crate::api::Credentials {
        crate::api::Credentials {
            access_key_id: self.credentials.access_key_id.clone(),
            secret_access_key: self.credentials.secret_access_key.clone(),
            session_token: self.credentials.session_token.clone().unwrap_or_default(),
            expiration: self.expires_at_ms,
        }
    }
}

/// Woken by every change of a user's key.
pub(crate) const CHANGES_TOPIC: &str = "sts/user-keys";

/// What a session is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    pub owner: Owner,
    pub account: AccountId,
    pub arn: String,
    pub user_id: String,
    pub duration_s: u32,
    /// When it is issued is filled in.
    pub session: Session,
}

impl NewSession {
    /// A session of a role with this unique id.
    pub fn of_role(role: &RoleName, role_id: &str, name: &str, duration_s: u32, session: Session) -> NewSession {
        NewSession {
            owner: Owner::AssumedRole,
            account: role.account.clone(),
            arn: role.session_arn(name),
            user_id: format!("{role_id}:{name}"),
            duration_s,
            session,
        }
    }
}

/// Account, role, the role's unique id and the name of a function's session.
type Purpose = (AccountId, String, String, String);

/// The keys in a store.
pub struct KeyRing {
    platform: Platform,
    roles: Arc<dyn RoleDirectory>,
    cache: KeyCache,
    /// Woken when a user's key changes.
    changes: RwLock<Subscription>,
    /// Sessions of functions, handed out again while they have more than half of their life before them: a new
    /// environment need not wait for the disk.
    reused: Mutex<HashMap<Purpose, (Credentials, i64)>>,
}

impl KeyRing {
    /// The keys in `platform`'s store; `roles` says which roles exist.
    pub fn new(platform: Platform, roles: Arc<dyn RoleDirectory>) -> KeyRing {
        let changes = RwLock::new(platform.store.subscribe(CHANGES_TOPIC));
        KeyRing { platform, roles, cache: KeyCache::new(), changes, reused: Mutex::default() }
    }

    /// Forgets what is in memory; to be called when the store was emptied.
    pub fn clear(&self) {
        self.cache.clear();
        self.reused.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Makes the root key of `account`, if it has none.
    ///
    /// Returns the key when it was made now: it is to be shown, and cannot be had again. Errors: the store's.
    pub async fn ensure_root_key(&self, account: &AccountId) -> Result<Option<Credentials>, StoreError> {
        let (access_key_id, secret_access_key) = fresh_key("AKIA", &*self.platform.ids);
        let record = KeyRecord {
            access_key_id,
            secret_access_key,
            session_token: None,
            expires_at_ms: None,
            owner: Owner::Root,
            account: account.as_str().to_owned(),
            arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.as_str().to_owned(),
            source_identity: None,
            session: None,
            is_active: true,
        };
        let credentials = record.clone().owner()?.credentials;
        let mark = keys::root_key(account);
        let make = move |tx: &mut dyn Tx| -> Result<bool, StoreError> {
            if RootKeyRecord::load(tx, &mark)?.is_some() {
                return Ok(false);
            }
            RootKeyRecord { access_key_id: record.access_key_id.clone() }.save(tx, mark.clone())?;
            record.save(tx, keys::key(&record.access_key_id))?;
            Ok(true)
        };
        let is_new = self.platform.store.transact(make).await?.value;
        Ok(is_new.then_some(credentials))
    }

    /// The account that a key belongs to, also of one that is inactive or has ended.
    pub(crate) async fn account_of(&self, access_key_id: &str) -> Result<Option<String>, StoreError> {
        let key = keys::key(access_key_id);
        let find = move |read: &mut dyn Read| KeyRecord::load(read, &key);
        Ok(self.platform.store.read(find).await?.map(|record| record.account))
    }

    /// Makes a session and keeps it.
    pub(crate) async fn make_session(&self, new: NewSession) -> Result<MadeSession, StoreError> {
        let NewSession { owner, account, arn, user_id, duration_s, session } = new;
        let now_ms = self.platform.now_ms();
        // The times of sessions have whole seconds on the wire.
        let expires_at_ms = now_ms.div_euclid(1000) * 1000 + i64::from(duration_s) * 1000;
        let ids = &*self.platform.ids;
        let (access_key_id, secret_access_key) = fresh_key("ASIA", ids);
        let record = KeyRecord {
            access_key_id,
            secret_access_key,
            session_token: Some(fresh_token(ids)),
            expires_at_ms: Some(expires_at_ms),
            owner,
            account: account.as_str().to_owned(),
            arn,
            user_id,
            source_identity: None,
            session: Some(Session { issued_at_ms: now_ms, ..session }),
            is_active: true,
        };
        let owner = record.clone().owner()?;
        let save = move |tx: &mut dyn Tx| -> Result<(), StoreError> {
            remove_expired(tx, now_ms)?;
            tx.put(keys::end(expires_at_ms, &record.access_key_id), Bytes::new())?;
            record.save(tx, keys::key(&record.access_key_id))
        };
        self.platform.store.transact(save).await?;
        let KeyOwner { credentials, principal } = owner.clone();
        self.cache.set(&credentials.access_key_id, Known::Owner(Box::new(owner)), now_ms);
        Ok(MadeSession { credentials, expires_at_ms, arn: principal.arn, user_id: principal.user_id })
    }

    /// Forgets what is in memory if a user's key was changed since.
    fn heed_changes(&self) {
        if self.changes.read().unwrap_or_else(PoisonError::into_inner).is_woken() {
            let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
            changes.heard();
            self.cache.clear();
        }
    }

    fn reusable(&self, purpose: &Purpose, duration_s: u32) -> Option<Credentials> {
        let reused = self.reused.lock().unwrap_or_else(PoisonError::into_inner);
        let (credentials, expires_at_ms) = reused.get(purpose)?;
        let left_ms = expires_at_ms - self.platform.now_ms();
        (left_ms > i64::from(duration_s) * 500).then(|| credentials.clone())
    }

    fn keep(&self, purpose: Purpose, made: &MadeSession) {
        let mut reused = self.reused.lock().unwrap_or_else(PoisonError::into_inner);
        if reused.len() >= REUSED_SESSIONS_MAX {
            let now_ms = self.platform.now_ms();
            reused.retain(|_, (_, expires_at_ms)| now_ms < *expires_at_ms);
        }
        if reused.len() >= REUSED_SESSIONS_MAX {
            reused.clear();
        }
        reused.insert(purpose, (made.credentials.clone(), made.expires_at_ms));
    }
}

/// Removes a few sessions that ended some time ago: each new one takes more away than it brings.
fn remove_expired(tx: &mut dyn Tx, now_ms: i64) -> Result<(), StoreError> {
    let ended = Range { start: keys::all_ends(), end: Some(keys::ends_before(now_ms.saturating_sub(EXPIRED_KEPT_MS))) };
    for (end, _) in tx.range(&ended, Order::Ascending, EXPIRED_REMOVED_MAX)? {
        if let Some(access_key_id) = keys::ended(&end) {
            tx.delete(keys::key(&access_key_id))?;
        }
        tx.delete(end)?;
    }
    Ok(())
}

#[async_trait]
impl CredentialSource for KeyRing {
    async fn owner(&self, access_key_id: &str) -> Result<Option<KeyOwner>, CredentialError> {
        self.heed_changes();
        let now_ms = self.platform.now_ms();
        match self.cache.get(access_key_id, now_ms) {
            Some(Known::Owner(owner)) => return Ok(Some(*owner)),
            Some(Known::Nobody) => return Ok(None),
            None => {}
        }
        // A key id of another length is none of ours, and need not be looked for (nor fit into a key).
        if access_key_id.len() != 20 {
            return Ok(None);
        }
        let key = keys::key(access_key_id);
        let find = move |read: &mut dyn Read| KeyRecord::load(read, &key);
        let record = self.platform.store.read(find).await?.filter(|record| record.is_active);
        let owner = record.map(KeyRecord::owner).transpose()?;
        let known = owner.clone().map_or(Known::Nobody, |owner| Known::Owner(Box::new(owner)));
        // Under the lock: a change that came after the read empties the cache after this.
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        if !changes.is_woken() {
            self.cache.set(access_key_id, known, now_ms);
        }
        Ok(owner)
    }

    async fn session(&self, session: RoleSession) -> Result<Credentials, CredentialError> {
        let RoleSession { account, role_arn, session_name, duration_s } = session;
        let role = RoleName::parse(&role_arn).ok_or_else(|| CredentialError::MalformedRole(role_arn.clone()))?;
        // A role that was made anew under its old name is another one, and its sessions are others, too.
        let existing = self.roles.role(&role_arn).await?;
        let role_id = existing.map_or_else(|| role.invented_id(), |existing| existing.role_id);
        let purpose = (account, role_arn, role_id, session_name);
        if let Some(credentials) = self.reusable(&purpose, duration_s) {
            return Ok(credentials);
        }
        let session = Session { issuer_arn: purpose.1.clone(), ..Session::default() };
        let made = self.make_session(NewSession::of_role(&role, &purpose.2, &purpose.3, duration_s, session)).await?;
        self.keep(purpose, &made);
        Ok(made.credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, ROLE};

    fn session(bed: &Bed, name: &str) -> RoleSession {
        RoleSession {
            account: bed.account(),
            role_arn: ROLE.to_owned(),
            session_name: name.to_owned(),
            duration_s: 3_600,
        }
    }

    #[tokio::test]
    async fn a_session_is_found_again_also_after_a_restart() {
        let bed = Bed::new();
        let credentials = bed.key_ring.session(session(&bed, "f")).await.unwrap();
        assert!(credentials.access_key_id.starts_with("ASIA"));
        for key_ring in [bed.key_ring.clone(), bed.restarted()] {
            let owner = key_ring.owner(&credentials.access_key_id).await.unwrap().unwrap();
            assert_eq!(owner.credentials, credentials);
            assert_eq!(owner.principal.arn, "arn:aws:sts::000000000000:assumed-role/worker/f");
            assert_eq!(owner.principal.user_id, "AROAEXISTING:f");
        }
    }

    #[tokio::test]
    async fn a_function_gets_the_same_session_for_half_its_life() {
        let bed = Bed::new();
        let first = bed.key_ring.session(session(&bed, "f")).await.unwrap();
        bed.clock.advance_ms(1_799_000);
        assert_eq!(bed.key_ring.session(session(&bed, "f")).await.unwrap(), first);
        assert_ne!(bed.key_ring.session(session(&bed, "g")).await.unwrap(), first);
        bed.clock.advance_ms(2_000);
        assert_ne!(bed.key_ring.session(session(&bed, "f")).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_role_need_not_exist_but_must_be_one() {
        let bed = Bed::new();
        let missing = RoleSession { role_arn: "arn:aws:iam::000000000000:role/none".to_owned(), ..session(&bed, "f") };
        let credentials = bed.key_ring.session(missing.clone()).await.unwrap();
        let owner = bed.key_ring.owner(&credentials.access_key_id).await.unwrap().unwrap();
        assert!(owner.principal.user_id.starts_with("AROA") && owner.principal.user_id.len() == 23);
        let malformed = RoleSession { role_arn: "none".to_owned(), ..missing };
        assert!(matches!(bed.key_ring.session(malformed).await, Err(CredentialError::MalformedRole(_))));
    }

    #[tokio::test]
    async fn unknown_keys_are_unknown() {
        let bed = Bed::new();
        for key in ["", "test", "ASIAAAAAAAAAAAAAAAAA", "AKIAAAAAAAAAAAAAAAAA", &"A".repeat(5_000)] {
            assert_eq!(bed.key_ring.owner(key).await.unwrap(), None);
            assert_eq!(bed.key_ring.owner(key).await.unwrap(), None, "from the cache");
        }
    }

    #[tokio::test]
    async fn expired_sessions_go_a_few_at_a_time() {
        let bed = Bed::new();
        let mut keys = Vec::new();
        for number in 0..EXPIRED_REMOVED_MAX + 2 {
            keys.push(bed.key_ring.session(session(&bed, &format!("f{number}"))).await.unwrap().access_key_id);
        }
        bed.clock.advance_ms(3_600_000 + EXPIRED_KEPT_MS + 1_000);
        let found = async || {
            let key_ring = bed.restarted();
            let mut count = 0;
            for key in &keys {
                count += usize::from(key_ring.owner(key).await.unwrap().is_some());
            }
            count
        };
        assert_eq!(found().await, EXPIRED_REMOVED_MAX + 2);
        bed.key_ring.session(session(&bed, "new")).await.unwrap();
        assert_eq!(found().await, 2);
        bed.key_ring.session(session(&bed, "newer")).await.unwrap();
        assert_eq!(found().await, 0);
    }

    #[tokio::test]
    async fn the_root_key_is_shown_once() {
        let bed = Bed::new();
        let made = bed.key_ring.ensure_root_key(&bed.account()).await.unwrap().unwrap();
        assert!(made.access_key_id.starts_with("AKIA") && made.session_token.is_none());
        assert_eq!(bed.key_ring.ensure_root_key(&bed.account()).await.unwrap(), None);
        let owner = bed.restarted().owner(&made.access_key_id).await.unwrap().unwrap();
        assert_eq!((owner.credentials, owner.principal.arn.as_str()), (made, "arn:aws:iam::000000000000:root"));
    }

    #[tokio::test]
    async fn a_cleared_ring_reads_anew() {
        let bed = Bed::new();
        let first = bed.key_ring.session(session(&bed, "f")).await.unwrap();
        bed.key_ring.clear();
        assert_ne!(bed.key_ring.session(session(&bed, "f")).await.unwrap(), first);
    }
}

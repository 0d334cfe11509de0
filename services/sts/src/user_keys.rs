//! The keys of users, as operations of IAM change them (the port `UserKeys`).

use crate::key_ring::{CHANGES_TOPIC, KeyRing};
use crate::keys;
use crate::model::{KeyRecord, Owner, fresh_key};
use gust_kit::ports::{UserKey, UserKeys};
use gust_store::{Read, Record, StoreError, Tx};
use gust_types::Ids;

impl UserKeys for KeyRing {
    fn fresh(&self, ids: &dyn Ids) -> (String, String) {
        fresh_key("AKIA", ids)
    }

    fn add(&self, tx: &mut dyn Tx, key: &UserKey) -> Result<(), StoreError> {
        let record = KeyRecord {
            access_key_id: key.access_key_id.clone(),
            secret_access_key: key.secret_access_key.clone(),
            session_token: None,
            expires_at_ms: None,
            owner: Owner::User,
            account: key.account.as_str().to_owned(),
            arn: key.user_arn.clone(),
            user_id: key.user_id.clone(),
            source_identity: None,
            session: None,
            is_active: true,
        };
        tx.wake(CHANGES_TOPIC);
        record.save(tx, keys::key(&key.access_key_id))
    }

    fn set_active(&self, tx: &mut dyn Tx, access_key_id: &str, is_active: bool) -> Result<(), StoreError> {
        change(tx, access_key_id, |record| record.is_active = is_active)
    }

    fn rename(&self, tx: &mut dyn Tx, access_key_id: &str, user_arn: &str) -> Result<(), StoreError> {
        change(tx, access_key_id, |record| user_arn.clone_into(&mut record.arn))
    }

    fn remove(&self, tx: &mut dyn Tx, access_key_id: &str) -> Result<(), StoreError> {
        tx.wake(CHANGES_TOPIC);
        tx.delete(keys::key(access_key_id))
    }

    fn user_arn(&self, read: &mut dyn Read, access_key_id: &str) -> Result<Option<String>, StoreError> {
        let record = KeyRecord::load(read, &keys::key(access_key_id))?;
        Ok(record.filter(|record| record.owner == Owner::User && record.session.is_none()).map(|record| record.arn))
    }
}

fn change(tx: &mut dyn Tx, access_key_id: &str, change: impl FnOnce(&mut KeyRecord)) -> Result<(), StoreError> {
    let key = keys::key(access_key_id);
    let Some(mut record) = KeyRecord::load(tx, &key)? else { return Ok(()) };
    change(&mut record);
    tx.wake(CHANGES_TOPIC);
    record.save(tx, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;
    use gust_kit::PrincipalKind;
    use gust_kit::ports::CredentialSource;

    async fn commit(
        bed: &Bed,
        change: impl Fn(&KeyRing, &mut dyn Tx) -> Result<(), StoreError> + Send + Sync + 'static,
    ) {
        let key_ring = bed.key_ring.clone();
        bed.store().transact(move |tx: &mut dyn Tx| change(&key_ring, tx)).await.unwrap();
    }

    const ID: &str = "AKIAAAAAAAAAAAAAAAAA";

    /// Each change shows at once, although the ring answers from memory.
    #[tokio::test]
    async fn a_users_key_comes_rests_and_goes() {
        let bed = Bed::new();
        assert_eq!(bed.key_ring.owner(ID).await.unwrap(), None);
        let account = bed.account();
        commit(&bed, move |ring, tx| {
            let key = UserKey {
                access_key_id: ID.to_owned(),
                secret_access_key: "secret".to_owned(),
                account: account.clone(),
                user_arn: "arn:aws:iam::000000000000:user/ann".to_owned(),
                user_id: "AIDA".to_owned(),
            };
            ring.add(tx, &key)
        })
        .await;
        let owner = bed.key_ring.owner(ID).await.unwrap().unwrap();
        assert_eq!((owner.principal.kind, owner.principal.user_id.as_str()), (PrincipalKind::User, "AIDA"));
        assert!(owner.principal.session.is_none() && owner.credentials.expires_at_ms.is_none());
        commit(&bed, |ring, tx| ring.set_active(tx, ID, false)).await;
        assert_eq!(bed.key_ring.owner(ID).await.unwrap(), None);
        commit(&bed, |ring, tx| ring.set_active(tx, ID, true)).await;
        commit(&bed, |ring, tx| ring.rename(tx, ID, "arn:aws:iam::000000000000:user/eve")).await;
        let owner = bed.key_ring.owner(ID).await.unwrap().unwrap();
        assert_eq!(owner.principal.arn, "arn:aws:iam::000000000000:user/eve");
        let key_ring = bed.key_ring.clone();
        let arn = bed.store().read(move |read| key_ring.user_arn(read, ID)).await.unwrap();
        assert_eq!(arn.as_deref(), Some("arn:aws:iam::000000000000:user/eve"));
        commit(&bed, |ring, tx| ring.remove(tx, ID)).await;
        assert_eq!(bed.key_ring.owner(ID).await.unwrap(), None);
    }
}

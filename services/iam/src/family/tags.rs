//! Tags of roles, users, managed policies, instance profiles and providers.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html>

use super::{change, look};
use crate::Iam;
use crate::api::Tag;
use crate::error::IamError;
use crate::limits::TAGS_MAX;
use crate::model::Tagged;
use crate::rules::page::{Listed, Page};
use gust_kit::Cx;
use gust_store::{Read, Tx};
use gust_types::AccountId;
use std::collections::BTreeSet;

/// Sets tags; others stay.
pub async fn tag<T: Tagged>(cx: &Cx<Iam>, name: String, tags: Vec<Tag>) -> Result<(), IamError> {
    let tags = checked(Some(tags))?;
    let tag = move |tx: &mut dyn Tx, account: &AccountId| {
        let mut thing = T::find(tx, account, &name)?;
        thing.check_taggable()?;
        let kept = thing.tags_mut();
        for (key, value) in &tags {
            match kept.iter_mut().find(|(kept, _)| kept.to_lowercase() == key.to_lowercase()) {
                Some(tag) => *tag = (key.clone(), value.clone()),
                None => kept.push((key.clone(), value.clone())),
            }
        }
        if kept.len() > TAGS_MAX {
            return Err(IamError::TooManyTags);
        }
        thing.keep(tx, account)
    };
    change(cx, tag).await
}

/// Takes tags away; keys that are not there do not matter.
pub async fn untag<T: Tagged>(cx: &Cx<Iam>, name: String, keys: Vec<String>) -> Result<(), IamError> {
    let keys: Vec<String> = keys.iter().map(|key| key.to_lowercase()).collect();
    let untag = move |tx: &mut dyn Tx, account: &AccountId| {
        let mut thing = T::find(tx, account, &name)?;
        thing.check_taggable()?;
        thing.tags_mut().retain(|(key, _)| !keys.contains(&key.to_lowercase()));
        thing.keep(tx, account)
    };
    change(cx, untag).await
}

/// Lists tags, in the order of their keys.
pub async fn list<T: Tagged>(
    cx: &Cx<Iam>,
    name: String,
    page: (Option<i32>, Option<String>),
) -> Result<Listed<Tag>, IamError> {
    let page = Page::new(page.0, page.1.as_deref())?;
    let list = move |read: &mut dyn Read, account: &AccountId| {
        let mut tags = T::find(read, account, &name)?.tags().clone();
        tags.sort_unstable();
        Ok(page.cut(tags, |(key, _)| key.clone()).map(|(key, value)| Tag { key, value }))
    };
    look(cx, list).await
}

/// The tags of a request, each key once.
pub fn checked(tags: Option<Vec<Tag>>) -> Result<Vec<(String, String)>, IamError> {
    let tags = tags.unwrap_or_default();
    let mut keys = BTreeSet::new();
    if !tags.iter().all(|tag| keys.insert(tag.key.to_lowercase())) {
        let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
        return Err(IamError::InvalidInput(message.to_owned()));
    }
    if keys.iter().any(|key| key.starts_with("aws:")) {
        // The wording is inferred.
        let message = "aws: prefixed tag key names are not allowed for external use.";
        return Err(IamError::InvalidInput(message.to_owned()));
    }
    Ok(tags.into_iter().map(|Tag { key, value }| (key, value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    fn named(key: &str, value: &str) -> Tag {
        Tag { key: key.to_owned(), value: value.to_owned() }
    }

    fn tag_ann(tags: Vec<Tag>) -> TagUserRequest {
        TagUserRequest { user_name: "ann".to_owned(), tags }
    }

    async fn listed(bed: &Bed) -> Vec<Tag> {
        let list = ListUserTagsRequest { user_name: "ann".to_owned(), ..Default::default() };
        bed.run::<ListUserTags>(list).await.unwrap().tags
    }

    #[tokio::test]
    async fn tags_are_set_by_key_in_any_case() {
        let bed = Bed::new();
        assert_eq!(refusal(bed.run::<TagUser>(tag_ann(vec![named("a", "1")])).await).0, "NoSuchEntity");
        bed.create_user("ann").await;
        bed.run::<TagUser>(tag_ann(vec![named("b", "1"), named("a", "2")])).await.unwrap();
        bed.run::<TagUser>(tag_ann(vec![named("B", "3")])).await.unwrap();
        assert_eq!(listed(&bed).await, [named("B", "3"), named("a", "2")]);
        let untag = UntagUserRequest { user_name: "ann".to_owned(), tag_keys: vec!["b".to_owned(), "none".to_owned()] };
        bed.run::<UntagUser>(untag).await.unwrap();
        assert_eq!(listed(&bed).await, [named("a", "2")]);
    }

    #[tokio::test]
    async fn there_are_fifty_at_most() {
        let bed = Bed::new();
        bed.create_user("ann").await;
        let fifty = (0..TAGS_MAX).map(|number| named(&format!("k{number}"), "")).collect();
        bed.run::<TagUser>(tag_ann(fifty)).await.unwrap();
        bed.run::<TagUser>(tag_ann(vec![named("k1", "again")])).await.unwrap();
        assert_eq!(refusal(bed.run::<TagUser>(tag_ann(vec![named("more", "")])).await).0, "LimitExceeded");
        assert_eq!(listed(&bed).await.len(), TAGS_MAX);
    }

    #[tokio::test]
    async fn keys_that_make_no_sense_are_refused() {
        let bed = Bed::new();
        bed.create_user("ann").await;
        for tags in [vec![named("a", ""), named("A", "")], vec![named("aws:x", "")]] {
            assert_eq!(refusal(bed.run::<TagUser>(tag_ann(tags)).await).0, "InvalidInput");
        }
    }
}

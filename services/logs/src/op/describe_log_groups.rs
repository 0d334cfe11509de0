//! DescribeLogGroups: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html>
//!
//! The token is the name of the last group shown, as AWS's is seen to be.

use crate::api::{DescribeLogGroups, DescribeLogGroupsRequest, DescribeLogGroupsResponse, LogGroup, LogGroupClass};
use crate::error::LogsError;
use crate::limits::PAGE_ITEMS_MAX;
use crate::model::{GroupName, GroupRecord, UsageRecord};
use crate::rules::identifier;
use crate::{Logs, keys};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read, Record};

/// Groups that one step of a search reads.
const STEP: usize = 1_000;

impl Operation for DescribeLogGroups {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: DescribeLogGroupsRequest) -> Result<DescribeLogGroupsResponse, LogsError> {
        let search = Search::new(cx, &input)?;
        cx.store().read(move |read| search.run(read)).await
    }
}

/// What is looked for.
struct Search {
    /// Only these, if they are given.
    named: Option<Vec<GroupName>>,
    range: Range,
    prefix: String,
    part: Option<String>,
    classes: Option<Vec<&'static str>>,
    limit: usize,
}

impl Search {
    fn new(cx: &Cx<Logs>, input: &DescribeLogGroupsRequest) -> Result<Search, LogsError> {
        let (prefix, part) = (input.log_group_name_prefix.clone(), input.log_group_name_pattern.clone());
        let refused = |message: &str| Err(LogsError::InvalidParameter(message.to_owned()));
        if prefix.is_some() && part.is_some() {
            return refused("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.");
        }
        let other_filter = prefix.is_some() || part.is_some() || input.log_group_class.is_some();
        if input.log_group_identifiers.is_some() && other_filter {
            // Inferred wording.
            return refused("logGroupIdentifiers cannot be combined with other filters.");
        }
        let mut named: Option<Vec<GroupName>> = None;
        for text in input.log_group_identifiers.iter().flatten() {
            let found = identifier::by_identifier(&cx.call, text);
            match found {
                Ok(name) => named.get_or_insert_default().push(name),
                // A group of another account or region is as good as absent.
                Err(LogsError::GroupNotFound) => {
                    named.get_or_insert_default();
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(named) = &mut named {
            named.sort();
            named.dedup();
        }
        let prefix = prefix.unwrap_or_default();
        let (account, region) = (cx.call.account(), &cx.call.region);
        let mut range = keys::groups_with_prefix(account, region, &prefix);
        if let Some(last) = &input.next_token {
            let last = keys::group(&identifier::by_name(&cx.call, last));
            let after = Range::prefix_after(&keys::groups(account, region), &last).start;
            range.start = range.start.max(after);
        }
        // Asked for either of the two classes, AWS shows both.
        let classes = input.log_group_class.map(|class| match class {
            LogGroupClass::InfrequentAccess | LogGroupClass::Essentials => {
                vec![LogGroupClass::InfrequentAccess.as_str(), LogGroupClass::Essentials.as_str()]
            }
            class => vec![class.as_str()],
        });
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_ITEMS_MAX);
        Ok(Search { named, range, prefix, part, classes, limit: limit.min(PAGE_ITEMS_MAX) })
    }

    fn run(mut self, read: &mut dyn Read) -> Result<DescribeLogGroupsResponse, LogsError> {
        let mut groups = Vec::new();
        if let Some(named) = self.named.take() {
            for name in named {
                if let Some(record) = GroupRecord::load(read, &keys::group(&name))? {
                    groups.push(self.show(read, &name, record)?);
                }
            }
            return Ok(DescribeLogGroupsResponse { log_groups: Some(groups), next_token: None });
        }
        loop {
            let found = read.range(&self.range, Order::Ascending, STEP)?;
            for (key, value) in &found {
                let Some(name) = keys::group_name(key) else { continue };
                let record = GroupRecord::decode(value)?;
                if !self.fits(&name, &record) {
                    continue;
                }
                if groups.len() == self.limit {
                    let next_token = groups.last().and_then(|group: &LogGroup| group.log_group_name.clone());
                    return Ok(DescribeLogGroupsResponse { log_groups: Some(groups), next_token });
                }
                groups.push(self.show(read, &name, record)?);
            }
            match found.last() {
                Some((last, _)) if found.len() == STEP => self.range.start = Range::prefix_after(last, last).start,
                _ => return Ok(DescribeLogGroupsResponse { log_groups: Some(groups), next_token: None }),
            }
        }
    }

    fn fits(&self, name: &GroupName, record: &GroupRecord) -> bool {
        name.name.starts_with(&self.prefix)
            && self.part.as_ref().is_none_or(|part| name.name.contains(part.as_str()))
            && self.classes.as_ref().is_none_or(|classes| classes.contains(&record.class.as_str()))
    }

    fn show(&self, read: &mut dyn Read, name: &GroupName, record: GroupRecord) -> Result<LogGroup, LogsError> {
        let brief = LogGroup {
            log_group_name: Some(name.name.to_string()),
            creation_time: Some(record.created_at_ms),
            arn: Some(format!("{}:*", name.arn())),
            ..Default::default()
        };
        // With a pattern only these three are shown, says AWS's page.
        if self.part.is_some() {
            return Ok(brief);
        }
        let usage = UsageRecord::load(read, &keys::usage(&record.id))?.unwrap_or_default();
        Ok(LogGroup {
            retention_in_days: record.retention_days,
            metric_filter_count: Some(0),
            stored_bytes: Some(i64::try_from(usage.billed_bytes).unwrap_or(i64::MAX)),
            kms_key_id: record.kms_key_id,
            log_group_class: LogGroupClass::parse(&record.class),
            log_group_arn: Some(name.arn()),
            deletion_protection_enabled: Some(record.deletion_protected),
            ..brief
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;
    use crate::test_support::{Bench, NOW_MS, code_and_message};

    async fn names(bench: &Bench, input: DescribeLogGroupsRequest) -> (Vec<String>, Option<String>) {
        let output = bench.run::<DescribeLogGroups>(input).await.unwrap();
        (output.log_groups.unwrap().into_iter().map(|group| group.log_group_name.unwrap()).collect(), output.next_token)
    }

    #[tokio::test]
    async fn the_complete_shape() {
        let bench = Bench::new().await.with_stream().await;
        bench.put("s", &[(NOW_MS, "12345")]).await;
        let group = bench.run::<DescribeLogGroups>(Default::default()).await.unwrap().log_groups.unwrap().remove(0);
        let expected = LogGroup {
            log_group_name: Some("g".to_owned()),
            creation_time: Some(NOW_MS),
            retention_in_days: None,
            metric_filter_count: Some(0),
            arn: Some("arn:aws:logs:us-east-1:000000000000:log-group:g:*".to_owned()),
            stored_bytes: Some(31),
            log_group_class: Some(LogGroupClass::Standard),
            log_group_arn: Some("arn:aws:logs:us-east-1:000000000000:log-group:g".to_owned()),
            deletion_protection_enabled: Some(false),
            ..Default::default()
        };
        assert_eq!(group, expected);
    }

    #[tokio::test]
    async fn pages_prefixes_patterns_and_identifiers() {
        let bench = Bench::new().await;
        for name in ["b", "a/2", "a/1", "a", "c/a/1"] {
            bench.create_group(name).await;
        }
        let prefix = |prefix: &str| DescribeLogGroupsRequest {
            log_group_name_prefix: Some(prefix.to_owned()),
            ..Default::default()
        };
        assert_eq!(names(&bench, prefix("a")).await.0, ["a", "a/1", "a/2"]);
        assert_eq!(names(&bench, prefix("a/")).await.0, ["a/1", "a/2"]);
        let mut input = DescribeLogGroupsRequest { limit: Some(2), ..prefix("a") };
        let (page, token) = names(&bench, input.clone()).await;
        assert_eq!((page.as_slice(), token.as_deref()), (["a".to_owned(), "a/1".to_owned()].as_slice(), Some("a/1")));
        input.next_token = token;
        assert_eq!(names(&bench, input).await, (vec!["a/2".to_owned()], None));
        let pattern = DescribeLogGroupsRequest { log_group_name_pattern: Some("a/1".to_owned()), ..Default::default() };
        assert_eq!(names(&bench, pattern.clone()).await.0, ["a/1", "c/a/1"]);
        let both = DescribeLogGroupsRequest { log_group_name_prefix: Some("a".to_owned()), ..pattern };
        assert_eq!(code_and_message(bench.run::<DescribeLogGroups>(both).await).0, "InvalidParameterException");
        let arn = "arn:aws:logs:us-east-1:000000000000:log-group:a".to_owned();
        let foreign = "arn:aws:logs:us-east-1:111111111111:log-group:a".to_owned();
        let identifiers =
            |list: Vec<String>| DescribeLogGroupsRequest { log_group_identifiers: Some(list), ..Default::default() };
        assert_eq!(names(&bench, identifiers(vec!["b".to_owned(), arn, "x".to_owned()])).await.0, ["a", "b"]);
        assert_eq!(names(&bench, identifiers(vec![foreign])).await.0, [""; 0]);
    }

    #[tokio::test]
    async fn fifty_are_a_page_and_classes_select() {
        let bench = Bench::new().await;
        for n in 0..51 {
            let class = if n == 7 { LogGroupClass::InfrequentAccess } else { LogGroupClass::Standard };
            let input = api::CreateLogGroupRequest {
                log_group_name: format!("g{n:02}"),
                log_group_class: Some(class),
                ..Default::default()
            };
            bench.run::<api::CreateLogGroup>(input).await.unwrap();
        }
        let (page, token) = names(&bench, Default::default()).await;
        assert_eq!((page.len(), token.as_deref()), (50, Some("g49")));
        let class = |class| DescribeLogGroupsRequest { log_group_class: Some(class), ..Default::default() };
        assert_eq!(names(&bench, class(LogGroupClass::Essentials)).await.0, ["g07"]);
        assert_eq!(names(&bench, class(LogGroupClass::Delivery)).await.0, [""; 0]);
        assert_eq!(names(&bench, class(LogGroupClass::Standard)).await.0.len(), 50);
    }
}

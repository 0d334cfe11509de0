//! Lists the account's alias, if it has one.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccountAliases.html>
//! Deviations: none. Errors: InvalidInput (marker).

use crate::Iam;
use crate::api::{ListAccountAliases, ListAccountAliasesRequest, ListAccountAliasesResponse};
use crate::error::IamError;
use crate::family::look;
use crate::keys;
use crate::model::AliasRecord;
use crate::rules::page::Page;
use gust_kit::{Cx, Operation};
use gust_store::{Read, Record};
use gust_types::AccountId;

impl Operation for ListAccountAliases {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListAccountAliasesRequest) -> Result<ListAccountAliasesResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let list = |read: &mut dyn Read, account: &AccountId| {
            let own = AliasRecord::load(read, &keys::alias(account))?;
            Ok(own.into_iter().map(|own| own.alias).collect())
        };
        let listed = page.cut(look(cx, list).await?, String::clone);
        Ok(ListAccountAliasesResponse {
            is_truncated: listed.is_truncated(),
            account_aliases: listed.items,
            marker: listed.marker,
        })
    }
}

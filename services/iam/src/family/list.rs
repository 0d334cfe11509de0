//! Lists of things with names, by page and path; and all things of an account.

use super::look;
use crate::Iam;
use crate::error::IamError;
use crate::limits::SCAN_BATCH;
use crate::model::Named;
use crate::rules::page::{Listed, Page, marker};
use gust_kit::Cx;
use gust_store::{Order, Range, Read, StoreError};
use gust_types::AccountId;

/// One page of things whose path begins with `path`, in the order of their names, as `show` shows them.
pub async fn page<N: Named, S: Send + 'static>(
    cx: &Cx<Iam>,
    page: (Option<i32>, Option<String>),
    path: Option<String>,
    show: impl Fn(&mut dyn Read, &AccountId, &N) -> Result<S, IamError> + Send + 'static,
) -> Result<Listed<S>, IamError> {
    let page = Page::new(page.0, page.1.as_deref())?;
    let list = move |read: &mut dyn Read, account: &AccountId| {
        let path = path.as_deref().unwrap_or("/");
        // One more than asked for tells whether there is more.
        let mut found: Vec<N> = matching(read, account, page.after.as_deref(), path, page.items_max + 1)?;
        let is_truncated = found.len() > page.items_max;
        found.truncate(page.items_max);
        let last = found.last().map(|thing| marker(&thing.name().to_ascii_lowercase()));
        let items = found.iter().map(|thing| show(read, account, thing)).collect::<Result<Vec<S>, IamError>>()?;
        Ok(Listed { items, marker: last.filter(|_| is_truncated) })
    };
    look(cx, list).await
}

/// All things of a kind in an account; their number is bounded by the account's quota.
pub fn all<N: Named, T: Read + ?Sized>(read: &mut T, account: &AccountId) -> Result<Vec<N>, StoreError> {
    matching(read, account, None, "/", usize::MAX)
}

fn matching<N: Named, T: Read + ?Sized>(
    read: &mut T,
    account: &AccountId,
    after: Option<&str>,
    path: &str,
    wanted: usize,
) -> Result<Vec<N>, StoreError> {
    let prefix = N::all_of(account);
    let mut range = match after {
        Some(after) => Range::prefix_after(&prefix, &N::key(account, after)),
        None => Range::prefix(&prefix),
    };
    let mut found = Vec::new();
    loop {
        let batch = read.range(&range, Order::Ascending, SCAN_BATCH)?;
        for (_, bytes) in &batch {
            let thing = N::decode(bytes)?;
            if thing.path().starts_with(path) {
                found.push(thing);
            }
            if found.len() == wanted {
                return Ok(found);
            }
        }
        match batch.last() {
            Some((key, _)) if batch.len() == SCAN_BATCH => range = Range::prefix_after(&prefix, key),
            _ => return Ok(found),
        }
    }
}

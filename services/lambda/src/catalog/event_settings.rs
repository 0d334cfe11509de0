//! What the catalog tells of how a function is invoked, beside its versions: event invoke configs, recursion.

use super::{Catalog, counter};
use crate::api::RecursiveLoop;
use crate::attached::{EventConfigRecord, RecursionRecord};
use crate::error::LambdaError;
use crate::keys;
use crate::model::{FunctionId, Qualifier};
use gust_kit::ports::EventSettings;
use gust_store::Read;
use std::sync::Arc;

impl Catalog {
    /// Whether a function may invoke itself in a loop.
    pub(super) async fn may_recurse(&self, id: &FunctionId) -> Result<bool, LambdaError> {
        let key = keys::recursion(id);
        let read = move |snapshot: &mut dyn Read| -> Result<bool, LambdaError> {
            let record = snapshot.get(&key)?.map(|bytes| keys::decode::<RecursionRecord>(&bytes)).transpose()?;
            Ok(record.is_some_and(|record| record.recursive_loop == RecursiveLoop::Allow.as_str()))
        };
        self.platform.store.read(read).await
    }

    /// How asynchronous events are treated that were invoked with `qualifier`.
    pub async fn event_settings_of(
        &self,
        id: &FunctionId,
        qualifier: Option<&Qualifier>,
    ) -> Result<Arc<EventSettings>, LambdaError> {
        let name = qualifier.filter(|it| **it != Qualifier::Latest).map(ToString::to_string).unwrap_or_default();
        let changes = {
            let cache = self.cache();
            if let Some(settings) = cache.functions.get(id).and_then(|known| known.event_settings.get(&name)) {
                return Ok(settings.clone());
            }
            cache.changes[counter(id)]
        };
        let key = keys::event_config(id, qualifier);
        let read = move |snapshot: &mut dyn Read| -> Result<_, LambdaError> {
            Ok(snapshot.get(&key)?.map(|bytes| keys::decode::<EventConfigRecord>(&bytes)).transpose()?)
        };
        let record = self.platform.store.read(read).await?;
        let settings = Arc::new(record.map(|record| record.settings()).unwrap_or_default());
        let mut cache = self.cache_mut();
        // What changed meanwhile is read again next time; this answer is as old as the question.
        if *cache.changes_of(id) == changes {
            cache.make_room();
            let known = cache.functions.entry(id.clone()).or_default();
            let is_new = known.event_settings.insert(name, settings.clone()).is_none();
            cache.remembered += usize::from(is_new);
        }
        Ok(settings)
    }
}

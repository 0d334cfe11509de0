//! Event invoke configs: what the queue of asynchronous events asks for with each attempt (`Catalog::event_settings`).

use crate::api::{self, DestinationConfig, OnFailure, OnSuccess};
use crate::attached::EventConfigRecord;
use crate::error::{AttachedError, LambdaError};
use crate::model::{FunctionId, LATEST, Qualifier};
use crate::rules::destination;
use crate::subject::{self, Found};
use crate::{Lambda, keys};
use gust_kit::Cx;
use gust_store::Tx;

/// What a request sets; an absent member is left as it is by an update, and has no value after a put.
pub struct Settings {
    /// MaximumRetryAttempts
    pub retries_max: Option<i32>,
    /// MaximumEventAgeInSeconds
    pub age_max_s: Option<i32>,
    /// DestinationConfig
    pub destinations: Option<DestinationConfig>,
}

/// Whether what is there is overwritten or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// PutFunctionEventInvokeConfig
    Overwrite,
    /// UpdateFunctionEventInvokeConfig
    Change,
}

/// Stores the settings of a function, a version or an alias.
///
/// Errors: nothing is set, a destination cannot be one or may not be sent to, there is no function, there is nothing to
/// change.
pub async fn store(
    cx: &Cx<Lambda>,
    id: FunctionId,
    qualifier: Option<Qualifier>,
    settings: Settings,
    mode: Mode,
) -> Result<api::FunctionEventInvokeConfig, LambdaError> {
    let Settings { retries_max, age_max_s, destinations } = settings;
    if retries_max.is_none() && age_max_s.is_none() && destinations.is_none() {
        return Err(AttachedError::EventConfigEmpty.into());
    }
    let destinations = destinations.map(|config| destination::destinations(&config, &id)).transpose();
    if let Ok(Some((on_success, on_failure))) = &destinations {
        check_destinations(cx, &id, qualifier.as_ref(), on_success.as_deref(), on_failure.as_deref()).await?;
    }
    let (now_ms, function) = (cx.now_ms(), id.clone());
    let work = move |tx: &mut dyn Tx| -> Result<api::FunctionEventInvokeConfig, LambdaError> {
        let qualifier = qualifier.as_ref();
        if !matches!(subject::find(tx, &id, qualifier)?, Found::Whole(_)) {
            return Err(AttachedError::NoFunction.into());
        }
        let key = keys::event_config(&id, qualifier);
        let stored: Option<EventConfigRecord> = tx.get(&key)?.map(|bytes| keys::decode(&bytes)).transpose()?;
        let mut record = match (mode, stored) {
            (Mode::Overwrite, _) => empty(now_ms),
            (Mode::Change, Some(stored)) => EventConfigRecord { modified_at_ms: now_ms, ..stored },
            (Mode::Change, None) => return Err(missing(&id, qualifier)),
        };
        record.retries_max = retries_max.or(record.retries_max);
        record.age_max_s = age_max_s.or(record.age_max_s);
        if let Some((on_success, on_failure)) = destinations.clone()? {
            (record.on_success, record.on_failure) = (on_success, on_failure);
        }
        tx.put(key, keys::encode(&record))?;
        Ok(shown(&id, qualifier, &record))
    };
    let shown = cx.store().transact(work).await?.value;
    cx.service.catalog.invalidate(&function);
    Ok(shown)
}

fn empty(now_ms: i64) -> EventConfigRecord {
    EventConfigRecord { retries_max: None, age_max_s: None, on_success: None, on_failure: None, modified_at_ms: now_ms }
}

/// What is to be a destination has to exist, and the function's role has to be allowed to send to it.
async fn check_destinations(
    cx: &Cx<Lambda>,
    id: &FunctionId,
    qualifier: Option<&Qualifier>,
    on_success: Option<&str>,
    on_failure: Option<&str>,
) -> Result<(), LambdaError> {
    // Without a function the transaction says so.
    let Some(found) = cx.service.catalog.read_qualified(id, qualifier).await? else { return Ok(()) };
    let sender = cx.service.sender(id, &found.record.config.role);
    for (arn, member) in [
        (on_success, "DestinationConfig.OnSuccess.Destination"),
        (on_failure, "DestinationConfig.OnFailure.Destination"),
    ] {
        let Some(arn) = arn else { continue };
        cx.service.check_target(arn, &sender).await.map_err(|error| destination::refusal(error, arn, member))?;
    }
    Ok(())
}

/// AWS's refusal where there is no config.
pub fn missing(id: &FunctionId, qualifier: Option<&Qualifier>) -> LambdaError {
    AttachedError::NoEventConfig { arn: arn(id, qualifier) }.into()
}

fn arn(id: &FunctionId, qualifier: Option<&Qualifier>) -> String {
    format!("{}:{}", id.arn(), qualifier.map_or(LATEST.to_owned(), Qualifier::to_string))
}

/// A config as clients see it.
pub fn shown(
    id: &FunctionId,
    qualifier: Option<&Qualifier>,
    record: &EventConfigRecord,
) -> api::FunctionEventInvokeConfig {
    api::FunctionEventInvokeConfig {
        last_modified: Some(record.modified_at_ms),
        function_arn: Some(arn(id, qualifier)),
        maximum_retry_attempts: record.retries_max,
        maximum_event_age_in_seconds: record.age_max_s,
        destination_config: Some(DestinationConfig {
            on_success: Some(OnSuccess { destination: record.on_success.clone() }),
            on_failure: Some(OnFailure { destination: record.on_failure.clone() }),
        }),
    }
}

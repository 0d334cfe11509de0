//! Runs one attempt of an asynchronous event on the engine, and prepares what follows from it: the records for
//! destinations and dead-letter queues, which the settlement then writes.

use crate::engine::Engine;
use crate::invocation_record::EventEnd;
use crate::limits::{RECURSION_MAX, STAGE_ATTEMPTS_MAX, STORE_RETRY_AFTER};
use crate::machine::{self, AttemptOutcome, DiscardReason, RetryPolicy, Settlement};
use crate::queue::Loaded;
use crate::trace;
use async_trait::async_trait;
use gust_kit::ports::{
    AsyncEvent, Delivery, EventSettings, FunctionCatalog, FunctionSpec, InvokeError, InvokeOutcome, InvokeRequest,
    Invoker, LogTail, Sender, Staged, TargetMessage, Targets, ThrottleReason,
};
use gust_types::{AccountId, Region, RequestId, SharedClock};
use std::sync::Arc;
use tokio::time::sleep;

/// What came of an attempt.
pub(crate) struct Attempted {
    pub(crate) settlement: Settlement,
    /// What is sent in consequence.
    pub(crate) staged: Vec<Staged>,
}

impl From<Settlement> for Attempted {
    fn from(settlement: Settlement) -> Attempted {
        Attempted { settlement, staged: Vec::new() }
    }
}

/// Runs events.
#[async_trait]
pub(crate) trait RunEvent: Send + Sync + 'static {
    /// Runs one attempt.
    async fn run(&self, loaded: &Loaded) -> Attempted;

    /// Returns once there is probably room for an event that was throttled for `reason`.
    async fn room(&self, event: &AsyncEvent, reason: ThrottleReason);
}

/// Runs events on the engine.
pub(crate) struct EngineRunner {
    pub(crate) engine: Engine,
    pub(crate) catalog: Arc<dyn FunctionCatalog>,
    pub(crate) targets: Targets,
    pub(crate) clock: SharedClock,
}

/// An attempt and all that is known of it.
struct Attempt<'a> {
    loaded: &'a Loaded,
    settings: Arc<EventSettings>,
    policy: RetryPolicy,
}

fn owner(event: &AsyncEvent) -> Option<(AccountId, Region)> {
    AccountId::parse(&event.account).zip(Region::parse(&event.region))
}

#[async_trait]
impl RunEvent for EngineRunner {
    async fn run(&self, loaded: &Loaded) -> Attempted {
        let event = &loaded.event;
        let Some((account, region)) = owner(event) else {
            return Settlement::Discard(DiscardReason::FunctionGone).into();
        };
        let qualifier = event.qualifier.as_deref();
        let settings = self.catalog.event_settings(&account, &region, &event.function, qualifier).await;
        let function = self.catalog.resolve(&account, &region, &event.function, qualifier).await;
        let settings = settings.inspect_err(|error| cannot_find(event, error)).unwrap_or_default();
        let attempt = Attempt { loaded, policy: RetryPolicy::from(&*settings), settings };
        match function {
            Ok(function) => self.attempt(attempt, function).await,
            Err(error) if error.code == "ResourceNotFoundException" => {
                Settlement::Discard(DiscardReason::FunctionGone).into()
            }
            Err(error) => {
                cannot_find(event, &error);
                attempt.settlement(AttemptOutcome::Postponed, self.clock.now_ms()).into()
            }
        }
    }

    async fn room(&self, event: &AsyncEvent, reason: ThrottleReason) {
        let Some((account, region)) = owner(event) else { return };
        let arn = unqualified(event);
        self.engine.inner().gates.function(&account, &region, &arn).freed(reason).await;
    }
}

fn cannot_find(event: &AsyncEvent, error: &gust_types::AwsError) {
    tracing::warn!(function = event.function, %error, "a function could not be looked up");
}

/// The function's ARN.
fn unqualified(event: &AsyncEvent) -> String {
    let qualifier = event.qualifier.as_deref().map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
    event.invoked_arn.strip_suffix(qualifier.as_str()).unwrap_or(&event.invoked_arn).to_owned()
}

impl Attempt<'_> {
    fn settlement(&self, outcome: AttemptOutcome, now_ms: i64) -> Settlement {
        machine::settle(self.policy, self.loaded.event.accepted_at_ms, self.loaded.attempts, outcome, now_ms)
    }
}

impl EngineRunner {
    async fn attempt(&self, attempt: Attempt<'_>, function: Arc<FunctionSpec>) -> Attempted {
        let event = &attempt.loaded.event;
        if let Some(settlement) = machine::before(attempt.policy, event.accepted_at_ms, self.clock.now_ms()) {
            return self.conclude(&attempt, &function, settlement, None).await;
        }
        let (outcome, response) = self.invoke(event, &function).await;
        let settlement = attempt.settlement(outcome, self.clock.now_ms());
        self.conclude(&attempt, &function, settlement, response.as_ref()).await
    }

    async fn invoke(
        &self,
        event: &AsyncEvent,
        function: &Arc<FunctionSpec>,
    ) -> (AttemptOutcome, Option<InvokeOutcome>) {
        let request = InvokeRequest {
            function: function.clone(),
            invoked_arn: event.invoked_arn.clone(),
            request_id: RequestId::from_text(event.request_id.clone()),
            payload: event.payload.clone(),
            client_context: event.client_context.clone(),
            trace_header: event.trace_header.clone(),
            tenant_id: event.tenant_id.clone(),
            tail: LogTail::Omitted,
        };
        let outcome = match self.engine.invoke(request).await {
            Ok(outcome) if outcome.failure.is_none() => return (AttemptOutcome::Success, Some(outcome)),
            Ok(outcome) => return (AttemptOutcome::FunctionError, Some(outcome)),
            Err(InvokeError::ShuttingDown) => AttemptOutcome::Interrupted,
            Err(InvokeError::RecursiveLoop) => AttemptOutcome::RecursiveLoop,
            Err(InvokeError::Throttled(reason)) => {
                let gate = self.engine.inner().gates.function(&function.account, &function.region, &function.arn);
                if gate.reserved() == Some(0) {
                    AttemptOutcome::NoConcurrency
                } else {
                    AttemptOutcome::Throttled(reason)
                }
            }
            Err(error @ (InvokeError::RuntimeUnavailable(_) | InvokeError::Sandbox(_))) => {
                tracing::warn!(request_id = event.request_id, %error, "an asynchronous event has to wait");
                AttemptOutcome::Postponed
            }
        };
        (outcome, None)
    }

    /// Prepares what follows from `settlement`.
    async fn conclude(
        &self,
        attempt: &Attempt<'_>,
        function: &FunctionSpec,
        settlement: Settlement,
        outcome: Option<&InvokeOutcome>,
    ) -> Attempted {
        let reason = match settlement {
            Settlement::Done => None,
            Settlement::Discard(reason) => Some(reason),
            Settlement::RetryAt { .. } | Settlement::Wait { .. } | Settlement::Leave => return settlement.into(),
        };
        let event = &attempt.loaded.event;
        let runs = attempt.loaded.attempts.failures + u32::from(outcome.is_some());
        let end = EventEnd { event, reason, runs, outcome, at_ms: self.clock.now_ms() };
        let (record_to, dead_letter_to) = match reason {
            None => (attempt.settings.on_success.as_deref(), None),
            Some(_) => (attempt.settings.on_failure.as_deref(), function.dead_letter_arn.as_deref()),
        };
        if let Some(reason) = reason {
            let (request_id, function, condition) = (&event.request_id, &event.function, reason.condition());
            tracing::info!(request_id, function, condition, record_to, dead_letter_to, "an event was given up");
            if reason == DiscardReason::RecursiveInvocation && self.has_been_stopped(event) {
                return settlement.into();
            }
        }
        let mut staged = Vec::new();
        if let Some(arn) = record_to {
            staged.extend(self.stage(event, function, arn, end.record(), end.at_ms).await);
        }
        if let Some(arn) = dead_letter_to {
            staged.extend(self.stage(event, function, arn, end.dead_letter(), end.at_ms).await);
        }
        Attempted { settlement, staged }
    }

    /// Whether the loop that the event is part of was stopped at this function before. Its record is not sent again:
    /// records of stopped events could go round for ever.
    fn has_been_stopped(&self, event: &AsyncEvent) -> bool {
        trace::visits(event.trace_header.as_deref(), &unqualified(event)) > RECURSION_MAX
    }

    /// `None` if it cannot be sent. As on AWS the event is settled nevertheless.
    async fn stage(
        &self,
        event: &AsyncEvent,
        function: &FunctionSpec,
        arn: &str,
        message: TargetMessage,
        sent_at_ms: i64,
    ) -> Option<Staged> {
        let ids = &*self.engine.inner().platform.ids;
        let trace_header = trace::at_function(event.trace_header.as_deref(), &function.arn, ids, sent_at_ms);
        let sender = Sender {
            account: function.account.clone(),
            region: function.region.clone(),
            function: function.name.clone(),
            role_arn: function.role_arn.clone(),
        };
        let delivery = Delivery { arn: arn.to_owned(), sender, message, trace_header: Some(trace_header), sent_at_ms };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let staged = match self.targets.of(arn) {
                Ok(target) => target.stage(&delivery).await,
                Err(error) => Err(error),
            };
            match staged {
                Ok(staged) => return Some(staged),
                Err(error) if error.is_passing() && attempts < STAGE_ATTEMPTS_MAX => sleep(STORE_RETRY_AFTER).await,
                Err(error) => {
                    let (request_id, function) = (&event.request_id, &event.function);
                    tracing::warn!(request_id, function, destination = arn, %error, "a record could not be sent");
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    #[test]
    fn an_events_function_is_its_arn_without_what_was_named() {
        let mut event = event("f", "r");
        let arn = event.invoked_arn.clone();
        assert_eq!(unqualified(&event), arn);
        event.qualifier = Some("PROD".to_owned());
        event.invoked_arn.push_str(":PROD");
        assert_eq!(unqualified(&event), arn);
    }
}

//! Functions as destinations: what became of another function's event is an event of theirs.

use crate::access::function_of;
use crate::catalog::Catalog;
use crate::error::LambdaError;
use crate::limits;
use crate::model::{FunctionId, Qualifier};
use async_trait::async_trait;
use bytes::Bytes;
use gust_kit::ports::{
    AsyncEvent, Delivery, Invoker, RoleRights, Sender, Staged, Target, TargetError, TargetKind, TargetMessage,
};
use gust_types::SharedIds;
use std::sync::Arc;

/// Puts what is sent to a function into its queue.
pub struct FunctionTarget {
    catalog: Arc<Catalog>,
    invoker: Arc<dyn Invoker>,
    ids: SharedIds,
    rights: Option<RoleRights>,
}

impl FunctionTarget {
    /// For the functions of `catalog`, whose events `invoker` runs. Without `rights` every role may invoke every
    /// function (`--auth open`).
    pub fn new(
        catalog: Arc<Catalog>,
        invoker: Arc<dyn Invoker>,
        ids: SharedIds,
        rights: Option<RoleRights>,
    ) -> FunctionTarget {
        FunctionTarget { catalog, invoker, ids, rights }
    }

    async fn find(&self, arn: &str, sender: &Sender) -> Result<(FunctionId, Option<Qualifier>), TargetError> {
        let (id, qualifier) = function_of(arn).ok_or(TargetError::Missing)?;
        match self.catalog.find(&id, qualifier.as_ref()).await {
            // One that is being created, or could not be set up, exists: the queue waits for it.
            Ok(_) | Err(LambdaError::NotActive { .. }) => {}
            Err(LambdaError::FunctionNotFound { .. }) => return Err(TargetError::Missing),
            Err(error) => return Err(TargetError::Unavailable(error.to_string())),
        }
        if let Some(rights) = &self.rights {
            let policy = self.catalog.resource_policy(&id, qualifier.as_ref()).await;
            let policy = policy.map_err(|error| TargetError::Unavailable(error.to_string()))?;
            rights.check(sender, TargetKind::Function.action(), arn, policy).await?;
        } else if id.account != sender.account {
            return Err(TargetError::Missing);
        }
        Ok((id, qualifier))
    }
}

#[async_trait]
impl Target for FunctionTarget {
    async fn check(&self, arn: &str, sender: &Sender) -> Result<(), TargetError> {
        self.find(arn, sender).await.map(|_| ())
    }

    async fn stage(&self, delivery: &Delivery) -> Result<Staged, TargetError> {
        let (id, qualifier) = self.find(&delivery.arn, &delivery.sender).await?;
        let payload = match &delivery.message {
            TargetMessage::Record { json, .. } => json,
            TargetMessage::DeadLetter { event, .. } => event,
        };
        let (bytes, bytes_max) = (payload.len(), limits::PAYLOAD_EVENT_BYTES_MAX);
        if bytes > bytes_max {
            return Err(TargetError::TooLarge { bytes, bytes_max });
        }
        let event = self.event(delivery, id, qualifier, payload.clone());
        let invoker = self.invoker.clone();
        Ok(Staged { bytes, write: Arc::new(move |tx| invoker.enqueue(tx, &event)) })
    }
}

impl FunctionTarget {
    fn event(&self, delivery: &Delivery, id: FunctionId, qualifier: Option<Qualifier>, payload: Bytes) -> AsyncEvent {
        AsyncEvent {
            request_id: gust_types::Ids::uuid(&*self.ids),
            account: id.account.as_str().to_owned(),
            region: id.region.as_str().to_owned(),
            function: id.name.to_string(),
            qualifier: qualifier.as_ref().map(ToString::to_string),
            invoked_arn: id.qualified_arn(qualifier.as_ref()),
            client_context: None,
            trace_header: delivery.trace_header.clone(),
            tenant_id: None,
            accepted_at_ms: delivery.sent_at_ms,
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, call};

    fn delivery(arn: &str, json: Bytes) -> Delivery {
        let sender = Sender {
            account: call().account().clone(),
            region: call().region,
            function: "a".to_owned(),
            role_arn: "arn:aws:iam::000000000000:role/r".to_owned(),
        };
        let message = TargetMessage::Record { is_success: true, json };
        let trace_header = Some("Root=1".to_owned());
        Delivery { arn: arn.to_owned(), sender, message, trace_header, sent_at_ms: 7 }
    }

    #[tokio::test]
    async fn a_record_becomes_an_event_of_the_function() {
        let bed = Bed::new().await;
        bed.create_active("b").await;
        bed.publish("b").await;
        let target = bed.function_target();
        for (arn, qualifier) in [
            ("arn:aws:lambda:us-east-1:000000000000:function:b", None),
            ("arn:aws:lambda:us-east-1:000000000000:function:b:1", Some("1")),
        ] {
            let staged = target.stage(&delivery(arn, Bytes::from_static(b"{}"))).await.unwrap();
            let write = staged.write.clone();
            bed.lambda.platform.store.transact(move |tx| write(tx)).await.unwrap();
            let event = bed.queued().await.pop().unwrap();
            assert_eq!((event.function.as_str(), event.qualifier.as_deref()), ("b", qualifier));
            assert_eq!((event.invoked_arn.as_str(), event.accepted_at_ms), (arn, 7));
            assert_eq!(event.trace_header.as_deref(), Some("Root=1"));
        }
    }

    #[tokio::test]
    async fn what_it_cannot_take_is_refused() {
        let bed = Bed::new().await;
        bed.create_active("b").await;
        let target = bed.function_target();
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:b";
        let refusal = async |arn: &str, bytes: usize| {
            let delivery = delivery(arn, vec![b'1'; bytes].into());
            target.stage(&delivery).await.map(|_| ()).unwrap_err()
        };
        let bytes_max = limits::PAYLOAD_EVENT_BYTES_MAX;
        assert!(target.stage(&delivery(arn, vec![b'1'; bytes_max].into())).await.is_ok());
        let bytes = bytes_max + 1;
        assert_eq!(refusal(arn, bytes).await, TargetError::TooLarge { bytes, bytes_max });
        for missing in [
            "arn:aws:lambda:us-east-1:000000000000:function:c",
            "arn:aws:lambda:us-east-1:000000000000:function:b:2",
            "arn:aws:lambda:us-east-1:111111111111:function:b",
            "arn:aws:lambda:us-east-1:000000000000:layer:b",
        ] {
            assert_eq!(refusal(missing, 2).await, TargetError::Missing, "{missing}");
        }
    }
}

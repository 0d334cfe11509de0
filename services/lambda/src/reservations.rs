//! Reserved concurrency: stored here, kept by whoever runs functions.
//!
//! What the invoker was told last is what is stored: telling reads the store again, one at a time, so that of two
//! changes at the same time the later one is told last.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>

use crate::error::{LambdaError, ParameterError};
use crate::keys::{self, Reservation};
use crate::lifecycle::{put_usage, stored};
use crate::model::FunctionId;
use crate::task::to_the_end;
use crate::{Lambda, limits, provisioned};
use gust_store::{Order, Range, Read, Tx};
use std::sync::Arc;

impl Lambda {
    /// Reserves `executions` for a function, or takes its reservation back.
    ///
    /// Errors: no such function, or too little would be left for the account's other functions.
    pub async fn set_reservation(self: &Arc<Self>, id: FunctionId, executions: Option<u32>) -> Result<(), LambdaError> {
        let limit = u64::try_from(self.settings.concurrent_executions).unwrap_or(0);
        let this = self.clone();
        to_the_end(async move {
            let stored = {
                let id = id.clone();
                move |tx: &mut dyn Tx| store(tx, &id, executions, limit)
            };
            let outcome = this.platform.store.transact(stored).await;
            this.tell_reservation(&id).await?;
            outcome.map(|_| ())
        })
        .await
    }

    /// Tells the invoker what is stored for a function.
    pub async fn tell_reservation(&self, id: &FunctionId) -> Result<(), LambdaError> {
        let _one_at_a_time = self.telling.lock().await;
        let reservation = self.reservation(id).await?;
        let executions = reservation.map(|reservation| reservation.executions);
        self.invoker.reserve(&id.account, &id.region, &id.name, executions);
        Ok(())
    }

    /// Tells the invoker everything that is stored, after a start.
    pub(crate) async fn tell_all_reservations(&self) -> Result<(), LambdaError> {
        let prefix = keys::all_reservations();
        let mut range = Range::prefix(&prefix);
        loop {
            let read = move |snapshot: &mut dyn Read| snapshot.range(&range, Order::Ascending, limits::READ_BATCH);
            let pairs = self.platform.store.read(read).await?;
            let Some((last, _)) = pairs.last() else { return Ok(()) };
            range = Range::prefix_after(&prefix, last);
            for (key, bytes) in &pairs {
                if let Some(id) = keys::function_id(key) {
                    let reservation: Reservation = keys::decode(bytes)?;
                    self.invoker.reserve(&id.account, &id.region, &id.name, Some(reservation.executions));
                }
            }
        }
    }

    /// What is reserved for a function.
    pub async fn reservation(&self, id: &FunctionId) -> Result<Option<Reservation>, LambdaError> {
        let id = id.clone();
        self.platform.store.read(move |snapshot: &mut dyn Read| reservation_of(snapshot, &id)).await
    }
}

/// What is reserved for a function, as one point in time has it.
pub fn reservation_of(read: &mut (impl Read + ?Sized), id: &FunctionId) -> Result<Option<Reservation>, LambdaError> {
    Ok(read.get(&keys::reservation(id))?.map(|bytes| keys::decode(&bytes)).transpose()?)
}

fn store(tx: &mut dyn Tx, id: &FunctionId, executions: Option<u32>, limit: u64) -> Result<(), LambdaError> {
    stored(tx, id)?;
    remove_reservation(tx, id)?;
    let Some(executions) = executions else { return Ok(()) };
    let provisioned = provisioned::total(tx, id)?;
    if u64::from(executions) < provisioned {
        return Err(ParameterError::ReservedBelowProvisioned { reserved: executions, provisioned }.into());
    }
    let usage = put_usage(tx, &id.account, &id.region, |usage| {
        usage.reserved += u64::from(executions);
        // It is within the reservation from now on.
        usage.provisioned = usage.provisioned.saturating_sub(provisioned);
    })?;
    let minimum = limits::UNRESERVED_EXECUTIONS_MIN.min(limit);
    // A function that is stopped takes nothing from the others.
    if executions > 0 && usage.reserved + usage.provisioned + minimum > limit {
        return Err(ParameterError::TooLittleUnreserved { minimum }.into());
    }
    tx.put(keys::reservation(id), keys::encode(&Reservation { executions }))?;
    Ok(())
}

/// Takes a function's reserved concurrency back, if it has any.
pub fn remove_reservation(tx: &mut dyn Tx, id: &FunctionId) -> Result<(), LambdaError> {
    let Some(reservation) = reservation_of(tx, id)? else { return Ok(()) };
    let (executions, provisioned) = (u64::from(reservation.executions), provisioned::total(tx, id)?);
    put_usage(tx, &id.account, &id.region, |usage| {
        usage.reserved = usage.reserved.saturating_sub(executions);
        usage.provisioned += provisioned;
    })?;
    Ok(tx.delete(keys::reservation(id))?)
}

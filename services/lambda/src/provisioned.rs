//! Provisioned concurrency: stored here, kept ready by whoever runs functions.
//!
//! A config belongs to a version or an alias; what is kept ready belongs to versions. An alias's config goes to the
//! version that the alias leads to, and moves with it; while it leads to two, each gets its share. As with
//! reservations, the invoker is told what is stored after each change, one at a time, and everything after a start.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html>

use crate::attached::ProvisionedRecord;
use crate::error::{AttachedError, LambdaError, ParameterError};
use crate::keys;
use crate::lifecycle::put_usage;
use crate::model::{AliasRecord, FunctionId, Qualifier};
use crate::reservations::reservation_of;
use crate::{Lambda, limits, lookup, subject};
use gust_kit::ports::ProvisionedStatus;
use gust_store::{Order, Range, Read, Tx};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the invoker was told last: for each function, how many environments of which version.
pub type Told = HashMap<FunctionId, BTreeMap<u64, u32>>;

/// Which versions a config is about, and how many environments each gets.
pub fn shares(qualifier: &Qualifier, alias: Option<&AliasRecord>, executions: u32) -> Vec<(u64, u32)> {
    match (qualifier, alias) {
        (Qualifier::Number(number), _) => vec![(*number, executions)],
        (_, Some(AliasRecord { number: Some(number), additional, .. })) => {
            let other = additional.map(|(other, weight)| (other, share(executions, weight)));
            let own = (*number, executions - other.map_or(0, |(_, count)| count));
            [Some(own), other].into_iter().flatten().filter(|(_, count)| *count > 0).collect()
        }
        _ => Vec::new(),
    }
}

/// What the second version of an alias gets: its part of the requests, but neither all nor nothing unless that is what
/// its part is. AWS says that it fluctuates with the weights, not how (inferred).
fn share(executions: u32, weight: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a number is in its range")]
    let part = (f64::from(executions) * weight.clamp(0.0, 1.0)).round() as u32;
    match executions {
        _ if weight <= 0.0 || weight >= 1.0 => part,
        0 | 1 => 0,
        _ => part.clamp(1, executions - 1),
    }
}

/// The config of a version or an alias.
pub fn config_of(
    read: &mut (impl Read + ?Sized),
    id: &FunctionId,
    qualifier: &Qualifier,
) -> Result<Option<ProvisionedRecord>, LambdaError> {
    let key = keys::provisioned(id, qualifier);
    Ok(read.get(&key)?.map(|bytes| keys::decode(&bytes)).transpose()?)
}

/// All configs of a function, in the order of their qualifiers.
pub fn configs_of(
    read: &mut (impl Read + ?Sized),
    id: &FunctionId,
) -> Result<Vec<(Qualifier, ProvisionedRecord)>, LambdaError> {
    let prefix = keys::all_provisioned_of(id);
    let pairs = read.range(&Range::prefix(&prefix), Order::Ascending, limits::PROVISIONED_CONFIGS_MAX)?;
    let mut configs = Vec::with_capacity(pairs.len());
    for (key, bytes) in pairs {
        if let Some(qualifier) = keys::attached_qualifier(&key) {
            configs.push((qualifier, keys::decode(&bytes)?));
        }
    }
    Ok(configs)
}

/// How many environments are to be kept ready of all versions of a function together.
pub fn total(read: &mut (impl Read + ?Sized), id: &FunctionId) -> Result<u64, LambdaError> {
    let configs = configs_of(read, id)?;
    Ok(configs.iter().map(|(_, config)| u64::from(config.executions)).sum())
}

/// The alias that `qualifier` names, if it names one.
///
/// Errors: there is no such version or alias.
pub fn find(read: &mut dyn Read, id: &FunctionId, qualifier: &Qualifier) -> Result<Option<AliasRecord>, LambdaError> {
    match qualifier {
        Qualifier::Alias(name) => match lookup::alias(read, id, name)? {
            Some(alias) => Ok(Some(alias)),
            None => Err(AttachedError::AliasMissing { arn: id.qualified_arn(Some(qualifier)) }.into()),
        },
        _ => {
            subject::revision(read, id, Some(qualifier)).map_err(|error| match error {
                // AWS names the version here, even if the whole function is missing.
                LambdaError::FunctionNotFound { .. } => {
                    LambdaError::FunctionNotFound { arn: id.qualified_arn(Some(qualifier)) }
                }
                other => other,
            })?;
            Ok(None)
        }
    }
}

/// Changes the sum that is taken from an account for what is provisioned. A reservation covers what is provisioned within it.
fn count(tx: &mut dyn Tx, id: &FunctionId, before: u32, after: u32) -> Result<(), LambdaError> {
    if reservation_of(tx, id)?.is_none() {
        let (before, after) = (u64::from(before), u64::from(after));
        put_usage(tx, &id.account, &id.region, |usage| {
            usage.provisioned = usage.provisioned.saturating_sub(before) + after;
        })?;
    }
    Ok(())
}

/// Stores the config of a version or an alias in the place of what it had.
///
/// Errors: it leads to `$LATEST` or to two versions, a version would have two configs, or there is not as much
/// concurrency. AWS's order of these checks is not documented.
pub fn store(
    tx: &mut dyn Tx,
    id: &FunctionId,
    qualifier: &Qualifier,
    record: &ProvisionedRecord,
    limit: u64,
) -> Result<(), LambdaError> {
    let alias = find(tx, id, qualifier)?;
    if let Some(alias) = &alias {
        if alias.number.is_none() {
            return Err(ParameterError::ProvisionedUnpublished.into());
        }
        if alias.additional.is_some() {
            return Err(ParameterError::ProvisionedRouting.into());
        }
    }
    let versions = shares(qualifier, alias.as_ref(), record.executions);
    for (number, _) in &versions {
        let version = lookup::published(tx, id, *number)?;
        if version.is_some_and(|version| version.function.config.tenant_isolation.is_some()) {
            return Err(ParameterError::ProvisionedWithTenants.into());
        }
    }
    let before = config_of(tx, id, qualifier)?.map_or(0, |config| config.executions);
    check_limits(tx, id, before, record.executions, limit)?;
    check_alone(tx, id, qualifier, alias.as_ref())?;
    count(tx, id, before, record.executions)?;
    tx.put(keys::provisioned(id, qualifier), keys::encode(record))?;
    Ok(())
}

fn check_limits(tx: &mut dyn Tx, id: &FunctionId, before: u32, after: u32, limit: u64) -> Result<(), LambdaError> {
    let (before, after) = (u64::from(before), u64::from(after));
    let others = total(tx, id)?.saturating_sub(before);
    match reservation_of(tx, id)? {
        Some(reservation) if others + after > u64::from(reservation.executions) => {
            Err(ParameterError::ProvisionedBeyondReserved.into())
        }
        Some(_) => Ok(()),
        None if after > limit => Err(ParameterError::ProvisionedBeyondAccount { limit }.into()),
        None => {
            let minimum = limits::UNRESERVED_EXECUTIONS_MIN.min(limit);
            let usage = put_usage(tx, &id.account, &id.region, |_| {})?;
            let taken = (usage.reserved + usage.provisioned).saturating_sub(before) + after;
            if taken + minimum > limit {
                return Err(ParameterError::TooLittleUnprovisioned { minimum }.into());
            }
            Ok(())
        }
    }
}

/// A version has one config at most: its own, or that of one alias that leads to it.
fn check_alone(
    tx: &mut dyn Tx,
    id: &FunctionId,
    qualifier: &Qualifier,
    alias: Option<&AliasRecord>,
) -> Result<(), LambdaError> {
    let number = match (qualifier, alias) {
        (Qualifier::Number(number), _) => *number,
        (_, Some(AliasRecord { number: Some(number), .. })) => *number,
        _ => return Ok(()),
    };
    for (other, _) in configs_of(tx, id)?.into_iter().filter(|(other, _)| other != qualifier) {
        let is_same = match &other {
            Qualifier::Number(version) => *version == number,
            Qualifier::Alias(name) => lookup::alias(tx, id, name)?.is_some_and(|alias| alias.number == Some(number)),
            _ => false,
        };
        if is_same && alias.is_some() {
            return Err(AttachedError::AliasToProvisionedVersion.into());
        }
        if is_same {
            return Err(AttachedError::VersionOfProvisionedAlias.into());
        }
    }
    Ok(())
}

/// Checks an alias that is being changed, if it has a config: it may not lead to `$LATEST`, nor to a version that has
/// a config (inferred; the wording is that of PutProvisionedConcurrencyConfig).
pub fn check_alias(tx: &mut dyn Tx, id: &FunctionId, name: &str, alias: &AliasRecord) -> Result<(), LambdaError> {
    let qualifier = Qualifier::Alias(name.to_owned());
    if config_of(tx, id, &qualifier)?.is_none() {
        return Ok(());
    }
    if alias.number.is_none() {
        return Err(ParameterError::ProvisionedUnpublished.into());
    }
    check_alone(tx, id, &qualifier, Some(alias))
}

/// Removes the config of a version or an alias, if it has one.
pub fn remove(tx: &mut dyn Tx, id: &FunctionId, qualifier: &Qualifier) -> Result<(), LambdaError> {
    if let Some(config) = config_of(tx, id, qualifier)? {
        count(tx, id, config.executions, 0)?;
        tx.delete(keys::provisioned(id, qualifier))?;
    }
    Ok(())
}

/// Removes all configs of a function.
pub fn remove_all(tx: &mut dyn Tx, id: &FunctionId) -> Result<(), LambdaError> {
    configs_of(tx, id)?.iter().try_for_each(|(qualifier, _)| remove(tx, id, qualifier))
}

/// What is to be kept ready of each version of a function.
fn targets(read: &mut (impl Read + ?Sized), id: &FunctionId) -> Result<BTreeMap<u64, u32>, LambdaError> {
    let mut targets = BTreeMap::new();
    for (qualifier, config) in configs_of(read, id)? {
        let alias = match &qualifier {
            Qualifier::Alias(name) => lookup::alias(read, id, name)?,
            _ => None,
        };
        for (number, count) in shares(&qualifier, alias.as_ref(), config.executions) {
            *targets.entry(number).or_default() += count;
        }
    }
    Ok(targets)
}

/// How far it is with a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Environments that are initialised.
    pub ready: u32,
    /// How it stands.
    pub status: ProvisionedStatus,
}

impl Lambda {
    /// Tells the invoker what is stored for a function. `again`: also what it was told already, so that it tries anew.
    pub async fn tell_provisioned(&self, id: &FunctionId, again: bool) -> Result<(), LambdaError> {
        let mut told = self.provisioning.lock().await;
        let wanted = {
            let id = id.clone();
            self.platform.store.read(move |snapshot: &mut dyn Read| targets(snapshot, &id)).await?
        };
        let before = told.remove(id).unwrap_or_default();
        for number in before.keys().filter(|number| !wanted.contains_key(*number)) {
            self.invoker.unprovision(&id.account, &id.region, &id.name, &number.to_string());
        }
        let mut now_told = BTreeMap::new();
        for (number, count) in wanted {
            if again || before.get(&number) != Some(&count) {
                match self.catalog.find(id, Some(&Qualifier::Number(number))).await {
                    Ok(spec) => self.invoker.provision(&spec, count),
                    Err(error) => {
                        tracing::warn!(function = %id.name, version = number, %error, "nothing can be kept ready of it");
                        continue;
                    }
                }
            }
            now_told.insert(number, count);
        }
        if !now_told.is_empty() {
            told.insert(id.clone(), now_told);
        }
        Ok(())
    }

    /// Tells the invoker everything that is stored, after a start.
    pub(crate) async fn tell_all_provisioned(&self) -> Result<(), LambdaError> {
        let prefix = keys::all_provisioned();
        let (mut range, mut ids) = (Range::prefix(&prefix), BTreeSet::new());
        loop {
            let read = move |snapshot: &mut dyn Read| snapshot.range(&range, Order::Ascending, limits::READ_BATCH);
            let pairs = self.platform.store.read(read).await?;
            let Some((last, _)) = pairs.last() else { break };
            range = Range::prefix_after(&prefix, last);
            ids.extend(pairs.iter().filter_map(|(key, _)| keys::function_id(key)));
        }
        for id in ids {
            self.tell_provisioned(&id, false).await?;
        }
        Ok(())
    }

    /// How far the invoker is with a config.
    pub fn progress(
        &self,
        id: &FunctionId,
        qualifier: &Qualifier,
        alias: Option<&AliasRecord>,
        config: &ProvisionedRecord,
    ) -> Progress {
        let mut all = Progress { ready: 0, status: ProvisionedStatus::Ready };
        for (number, count) in shares(qualifier, alias, config.executions) {
            let state = self.invoker.provisioned(&id.account, &id.region, &id.name, &number.to_string());
            let (ready, status) =
                state.map_or((0, ProvisionedStatus::InProgress), |state| (state.ready.min(count), state.status));
            all.ready += ready;
            all.status = match (all.status, status) {
                (ProvisionedStatus::Failed(reason), _) | (_, ProvisionedStatus::Failed(reason)) => {
                    ProvisionedStatus::Failed(reason)
                }
                (ProvisionedStatus::InProgress, _) | (_, ProvisionedStatus::InProgress) => {
                    ProvisionedStatus::InProgress
                }
                _ => ProvisionedStatus::Ready,
            };
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(number: Option<u64>, additional: Option<(u64, f64)>) -> AliasRecord {
        AliasRecord { revision_id: String::new(), description: String::new(), number, additional }
    }

    #[test]
    fn an_aliases_config_goes_to_its_versions() {
        let of = |alias: AliasRecord, executions| shares(&Qualifier::parse("prod"), Some(&alias), executions);
        assert_eq!(shares(&Qualifier::Number(3), None, 7), [(3, 7)]);
        assert_eq!(of(alias(Some(3), None), 7), [(3, 7)]);
        assert_eq!(of(alias(Some(3), Some((4, 0.25))), 8), [(3, 6), (4, 2)]);
        assert_eq!(of(alias(Some(3), Some((4, 0.01))), 8), [(3, 7), (4, 1)]);
        assert_eq!(of(alias(Some(3), Some((4, 0.99))), 8), [(3, 1), (4, 7)]);
        assert_eq!(of(alias(Some(3), Some((4, 0.5))), 1), [(3, 1)]);
        assert_eq!(of(alias(Some(3), Some((4, 1.0))), 8), [(4, 8)]);
        assert_eq!(of(alias(Some(3), Some((4, 0.0))), 8), [(3, 8)]);
        assert_eq!(of(alias(None, None), 8), []);
    }
}

//! What a policy, a URL or a setting belongs to: a function, one of its versions, or one of its aliases.

use crate::error::{AttachedError, LambdaError};
use crate::keys;
use crate::lookup;
use crate::model::{FunctionId, FunctionRecord, Qualifier, Version};
use gust_store::{Read, Tx};

/// Whether the function exists, and with it the version or alias, if one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// All of it, with this RevisionId.
    Whole(String),
    /// The function without this version or alias.
    FunctionOnly,
    /// Nothing.
    Nothing,
}

/// Looks for a function, a version or an alias.
pub fn find(read: &mut dyn Read, id: &FunctionId, qualifier: Option<&Qualifier>) -> Result<Found, LambdaError> {
    let Some(bytes) = read.get(&keys::function(id))? else { return Ok(Found::Nothing) };
    let revision_id = match qualifier {
        None | Some(Qualifier::Latest) => Some(keys::decode::<FunctionRecord>(&bytes)?.revision_id),
        Some(Qualifier::Number(number)) => lookup::published(read, id, *number)?.map(|it| it.function.revision_id),
        Some(Qualifier::Alias(name)) => lookup::alias(read, id, name)?.map(|alias| alias.revision_id),
        Some(Qualifier::Other(_)) => None,
    };
    Ok(revision_id.map_or(Found::FunctionOnly, Found::Whole))
}

/// The RevisionId. Errors: ResourceNotFoundException, in the words of AWS for what is missing.
pub fn revision(read: &mut dyn Read, id: &FunctionId, qualifier: Option<&Qualifier>) -> Result<String, LambdaError> {
    match find(read, id, qualifier)? {
        Found::Whole(revision_id) => Ok(revision_id),
        Found::FunctionOnly if qualifier.is_some_and(is_alias_name) => {
            Err(AttachedError::AliasMissing { arn: id.qualified_arn(qualifier) }.into())
        }
        Found::FunctionOnly => Err(LambdaError::FunctionNotFound { arn: id.qualified_arn(qualifier) }),
        Found::Nothing => Err(LambdaError::FunctionNotFound { arn: id.arn() }),
    }
}

/// Sets the RevisionId of what exists.
pub fn set_revision(
    tx: &mut dyn Tx,
    id: &FunctionId,
    qualifier: Option<&Qualifier>,
    revision_id: &str,
) -> Result<(), LambdaError> {
    match qualifier {
        None | Some(Qualifier::Latest) => {
            if let Some(mut record) = lookup::record(tx, id, Version::Latest)? {
                revision_id.clone_into(&mut record.revision_id);
                tx.put(keys::function(id), keys::encode(&record))?;
            }
        }
        Some(Qualifier::Number(number)) => {
            if let Some(mut version) = lookup::published(tx, id, *number)? {
                revision_id.clone_into(&mut version.function.revision_id);
                tx.put(keys::version(id, *number), keys::encode(&version))?;
            }
        }
        Some(Qualifier::Alias(name)) => {
            if let Some(mut alias) = lookup::alias(tx, id, name)? {
                revision_id.clone_into(&mut alias.revision_id);
                tx.put(keys::alias(id, name), keys::encode(&alias))?;
            }
        }
        Some(Qualifier::Other(_)) => {}
    }
    Ok(())
}

/// Whether a qualifier is the name of an alias.
pub fn is_alias_name(qualifier: &Qualifier) -> bool {
    matches!(qualifier, Qualifier::Alias(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_no_aliases() {
        for (text, is_alias) in
            [("PROD", true), ("1a", true), ("a-b_c", true), ("1", false), ("$LATEST", false), ("a$", false)]
        {
            assert_eq!(is_alias_name(&Qualifier::parse(text)), is_alias, "{text}");
        }
    }
}

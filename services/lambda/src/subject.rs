//! What a policy, a URL or a setting belongs to: a function, one of its versions, or one of its aliases.

use crate::error::{AttachedError, LambdaError};
use crate::keys;
use crate::model::{FunctionId, FunctionRecord, Qualifier};
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
    match qualifier {
        None | Some(Qualifier::Latest) => Ok(Found::Whole(keys::decode::<FunctionRecord>(&bytes)?.revision_id)),
        Some(Qualifier::Other(_)) => Ok(Found::FunctionOnly),
    }
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
    if let None | Some(Qualifier::Latest) = qualifier
        && let Some(bytes) = tx.get(&keys::function(id))?
    {
        let mut record: FunctionRecord = keys::decode(&bytes)?;
        revision_id.clone_into(&mut record.revision_id);
        tx.put(keys::function(id), keys::encode(&record))?;
    }
    Ok(())
}

/// Whether a qualifier could be the name of an alias: letters, digits, hyphens and underscores, not digits only.
pub fn is_alias_name(qualifier: &Qualifier) -> bool {
    let Qualifier::Other(text) = qualifier else { return false };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.bytes().all(fits) && !text.bytes().all(|byte| byte.is_ascii_digit())
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
